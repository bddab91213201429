//! Abuse of HTTP/2, frame by frame (RFC 9113).

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::raw::connect;
use super::{GROWTH_MAX, Target, over};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// `GET http://x/`: three fields of HPACK's static table, and a literal one.
const GET: &[u8] = &[0x82, 0x86, 0x84, 0x01, 0x01, b'x'];
/// The same with POST.
const POST: &[u8] = &[0x83, 0x86, 0x84, 0x01, 0x01, b'x'];

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// Sends what `more` gives for each round, until the rounds are over or the
/// daemon ends the connection; gives how many rounds it took.
async fn abuse(port: u16, rounds: u32, more: impl Fn(u32) -> Vec<u8> + Send + 'static) -> u32 {
    let mut stream = connect(port).await;
    let mut hello = PREFACE.to_vec();
    hello.extend(frame(SETTINGS, 0, 0, &[]));
    stream.write_all(&hello).await.unwrap();
    let (mut reader, mut writer) = stream.into_split();
    // What comes is read and dropped, so that nobody waits for us.
    let reading = tokio::spawn(async move {
        let mut sink = vec![0; 1 << 16];
        while reader.read(&mut sink).await.is_ok_and(|read| read > 0) {}
    });
    let sending = tokio::spawn(async move {
        let mut round = 0;
        while round < rounds && writer.write_all(&more(round)).await.is_ok() {
            round += 1;
        }
        round
    });
    let rounds = over("the abuse ends", sending).await;
    over("the connection ends", reading).await;
    rounds
}

/// The stream that a client opens in a round.
fn stream_of(round: u32) -> u32 {
    round * 2 + 1
}

#[tokio::test]
async fn requests_that_are_reset_at_once_end_their_connection() {
    let target = Target::set().await;
    abuse(target.port, 100_000, |round| {
        let mut both = frame(HEADERS, END_HEADERS | END_STREAM, stream_of(round), GET);
        both.extend(frame(RST_STREAM, 0, stream_of(round), &8u32.to_be_bytes()));
        both
    })
    .await;
    target.holds(GROWTH_MAX).await;
}

#[tokio::test]
async fn heads_that_go_on_without_end_end_their_connection() {
    let target = Target::set().await;
    let taken = abuse(target.port, 200_000, |round| {
        if round == 0 {
            return frame(HEADERS, END_STREAM, 1, GET);
        }
        // A field of a kilobyte, over and over (CVE-2024-27316).
        let mut field = vec![0x00, 0x01, b'x', 0x7f, 0x81, 0x07];
        field.resize(field.len() + 1024, b'y');
        frame(CONTINUATION, 0, 1, &field)
    })
    .await;
    assert!(taken < 200_000, "it went on for {taken} frames");
    target.holds(GROWTH_MAX).await;
}

#[tokio::test]
async fn i13_many_requests_at_once_and_data_nobody_asked_for_are_bounded() {
    let target = Target::set().await;
    // Streams that are opened, filled, and left open.
    let clients: Vec<_> = (0..50)
        .map(|_| {
            let port = target.port;
            tokio::spawn(abuse(port, 2_000, |round| {
                let mut both = frame(HEADERS, END_HEADERS, stream_of(round), POST);
                both.extend(frame(DATA, 0, stream_of(round), &[b' '; 4096]));
                both
            }))
        })
        .collect();
    target.serves_others().await;
    for client in clients {
        over("a client ends", client).await;
    }
    target.holds(GROWTH_MAX).await;
}

#[tokio::test]
async fn floods_of_settings_and_pings_are_answered_in_bounded_memory() {
    let target = Target::set().await;
    let port = target.port;
    let flood = tokio::spawn(async move {
        let mut stream = connect(port).await;
        let mut hello = PREFACE.to_vec();
        hello.extend(frame(SETTINGS, 0, 0, &[]));
        let _ = stream.write_all(&hello).await;
        // Nothing of what comes back is read.
        let mut all = frame(SETTINGS, 0, 0, &[]);
        all.extend(frame(PING, 0, 0, &[0; 8]));
        let all = all.repeat(1_000);
        for _ in 0..1_000 {
            if stream.write_all(&all).await.is_err() {
                break;
            }
        }
    });
    target.serves_others().await;
    over("the flood ends", flood).await;
    target.holds(GROWTH_MAX).await;
}
