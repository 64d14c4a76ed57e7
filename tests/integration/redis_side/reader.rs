//! Reading streams.

use std::time::Duration;

use write_behind::event::{Entry, StreamId};
use write_behind::stream::failure::FailureKind;
use write_behind::stream::reader::{range_after, read_after, stream_info};

use super::{client, connect, connect_to_read, run};
use crate::support::redis::RedisServer;

fn id(text: &str) -> StreamId {
    text.parse().unwrap()
}

#[tokio::test]
async fn entries_come_in_order_with_all_their_fields() {
    let server = RedisServer::start();
    let mut connection = connect(&server).await;
    run::<String>(&mut connection, &["XADD", "s", "9-1", "b", "1", "a", "2", "b", "3"]).await;
    let binary = [0u8, 0xff, b'\r', b'\n'];
    let mut add = redis::cmd("XADD");
    add.arg("s").arg("10-0").arg(&binary).arg(&[0xfeu8]).arg("empty").arg("");
    add.exec_async(&mut connection).await.unwrap();
    let odd: [(&[u8], &[u8]); 2] = [(&binary, &[0xfe]), (b"empty", b"")];
    let want = [
        Entry { id: id("9-1"), fields: [("b", "1"), ("a", "2"), ("b", "3")].into_iter().collect() },
        Entry { id: id("10-0"), fields: odd.into_iter().collect() },
    ];
    let mut reading = connect_to_read(&server).await;
    assert_eq!(read_after(&mut reading, "s", StreamId::ZERO, 10, None).await.unwrap(), want);
    assert_eq!(range_after(&mut reading, "s", StreamId::ZERO, 10).await.unwrap(), want);
    assert_eq!(read_after(&mut reading, "s", StreamId::ZERO, 1, None).await.unwrap(), want[..1]);
    assert_eq!(read_after(&mut reading, "s", id("9-1"), 10, None).await.unwrap(), want[1..]);
    assert_eq!(read_after(&mut reading, "s", id("10-0"), 10, None).await.unwrap(), []);
    assert_eq!(range_after(&mut reading, "s", id("10-0"), 10).await.unwrap(), []);
}

#[tokio::test]
async fn a_range_is_paged_without_gap_or_repetition() {
    let server = RedisServer::start();
    let mut connection = connect(&server).await;
    for number in 0..25 {
        run::<String>(&mut connection, &["XADD", "s", &format!("5-{number}"), "n", "1"]).await;
    }
    run::<String>(&mut connection, &["XADD", "s", "5-18446744073709551615", "n", "1"]).await;
    run::<String>(&mut connection, &["XADD", "s", "6-0", "n", "1"]).await;
    let (mut seen, mut reading) = (Vec::new(), connect_to_read(&server).await);
    while let page @ [.., last] =
        range_after(&mut reading, "s", seen.last().copied().unwrap_or_default(), 4).await.unwrap().as_slice()
    {
        assert!(page.len() <= 4 && last.id == page[page.len() - 1].id);
        seen.extend(page.iter().map(|entry| entry.id));
    }
    assert_eq!(seen.len(), 27);
    assert!(seen.windows(2).all(|pair| pair[0] < pair[1]));
}

#[tokio::test]
async fn no_stream_is_no_entries_and_another_type_is_a_matter_of_configuration() {
    let server = RedisServer::start();
    let mut connection = connect(&server).await;
    let mut reading = connect_to_read(&server).await;
    assert_eq!(read_after(&mut reading, "absent", StreamId::ZERO, 10, None).await.unwrap(), []);
    assert_eq!(range_after(&mut reading, "absent", StreamId::ZERO, 10).await.unwrap(), []);
    assert_eq!(stream_info(&mut reading, "absent").await.unwrap(), None);
    run::<i64>(&mut connection, &["RPUSH", "list", "x"]).await;
    let read = read_after(&mut reading, "list", StreamId::ZERO, 10, None).await.unwrap_err();
    let info = stream_info(&mut connection, "list").await.unwrap_err();
    for failure in [read, info] {
        assert_eq!(failure.kind, FailureKind::Configuration, "{failure}");
        assert!(failure.to_string().contains("`list`"), "{failure}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blocked_read_wakes_at_the_first_entry() {
    let server = RedisServer::start();
    let block = Duration::from_secs(30);
    let mut blocked = client(&server).dedicated(block).await.unwrap();
    let read = tokio::spawn(async move { read_after(&mut blocked, "s", StreamId::ZERO, 10, Some(block)).await });
    let mut connection = connect(&server).await;
    while !run::<String>(&mut connection, &["INFO", "clients"]).await.contains("blocked_clients:1") {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    run::<String>(&mut connection, &["XADD", "s", "1-0", "a", "b"]).await;
    let entries = tokio::time::timeout(Duration::from_secs(10), read).await.expect("it woke").unwrap().unwrap();
    assert_eq!(entries.iter().map(|entry| entry.id).collect::<Vec<_>>(), [id("1-0")]);
}

#[tokio::test]
async fn the_state_of_a_stream_tells_what_was_trimmed() {
    let server = RedisServer::start();
    let mut connection = connect(&server).await;
    for number in 1..=5 {
        run::<String>(&mut connection, &["XADD", "s", &format!("{number}-0"), "a", "b"]).await;
    }
    run::<i64>(&mut connection, &["XTRIM", "s", "MAXLEN", "3"]).await;
    run::<i64>(&mut connection, &["XDEL", "s", "4-0"]).await;
    let info = stream_info(&mut connection, "s").await.unwrap().unwrap();
    assert_eq!((info.length, info.entries_added), (2, Some(5)));
    assert_eq!((info.first_entry, info.last_generated_id), (Some(id("3-0")), id("5-0")));
    assert_eq!(info.max_deleted_entry_id, Some(id("4-0")));
    run::<i64>(&mut connection, &["XTRIM", "s", "MAXLEN", "0"]).await;
    let info = stream_info(&mut connection, "s").await.unwrap().unwrap();
    assert_eq!((info.length, info.first_entry, info.last_generated_id), (0, None, id("5-0")));
}
