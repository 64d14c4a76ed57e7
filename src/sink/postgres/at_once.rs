//! `TCP_NODELAY`, which sqlx leaves unset and gives no way to set.

use std::fs;

use socket2::SockRef;

/// Has the kernel send what this process writes to servers at `port` at once. Otherwise it keeps the last message of a
/// `COPY` back until the server has acknowledged the one before, and a server waits 40 ms for something to say before it
/// acknowledges. What cannot be set stays slow; a Unix socket needs nothing.
pub fn send_at_once(port: u16) {
    let descriptors = fs::read_dir("/proc/self/fd").or_else(|_| fs::read_dir("/dev/fd")).into_iter().flatten();
    for descriptor in descriptors.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok()) {
        // A descriptor that has become another by now is at worst another socket that sends at once.
        let socket = SockRef::from(&descriptor);
        let to_server = socket.peer_addr().ok().and_then(|address| address.as_socket());
        if to_server.is_some_and(|address| address.port() == port) {
            socket.set_nodelay(true).unwrap_or_default();
        }
    }
}
