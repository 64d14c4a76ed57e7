//! Ports for servers.

use std::collections::HashSet;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::process;
use std::sync::{LazyLock, Mutex, PoisonError};

/// First port tried by some process; below are the well-known ones.
const LOWEST: u16 = 10_000;

static TAKEN: LazyLock<Mutex<HashSet<u16>>> = LazyLock::new(Mutex::default);

/// A port of the loopback interface that nobody listens on and that this process has not given out before.
///
/// Not one of the ephemeral ports that binding to port 0 yields: while a server is down the kernel could hand its port
/// to an outgoing connection, so that the server cannot come back, or even connect a client that keeps trying to
/// itself.
pub fn free() -> u16 {
    let highest = first_ephemeral();
    let span = u32::from(highest - LOWEST);
    // Test processes running side by side start at different places.
    let start = process::id().wrapping_mul(97) % span;
    let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
    (0..span)
        .map(|step| LOWEST + u16::try_from((start + step) % span).expect("below the ephemeral ports"))
        .find(|port| !taken.contains(port) && is_free(*port) && taken.insert(*port))
        .expect("a free port")
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

fn first_ephemeral() -> u16 {
    fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range")
        .ok()
        .and_then(|range| range.split_whitespace().next()?.parse().ok())
        .filter(|first| *first > LOWEST + 1_000)
        .unwrap_or(32_768)
}
