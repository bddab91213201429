//! Servers that are away, end in the middle, or say what they should not.

use super::stage::{Stage, refused};
use deployd_plugin_sdk::Fault;
use deployd_plugin_sdk::driver::Action;
use serde_json::json;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

const NAME: &str = "shop.apps.example.com";

/// Where a connection breaks.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Break {
    /// Before the request arrives.
    Request,
    /// In the middle of the request.
    HalfARequest,
    /// After it was done, before the answer arrives.
    Answer,
    /// In the middle of the answer.
    HalfAnAnswer,
}

const BREAKS: [Break; 4] =
    [Break::Request, Break::HalfARequest, Break::Answer, Break::HalfAnAnswer];

fn message(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut framed = vec![0; 2];
    stream.read_exact(&mut framed).ok()?;
    let length = usize::from(u16::from_be_bytes([framed[0], framed[1]]));
    framed.resize(length + 2, 0);
    stream.read_exact(&mut framed[2..]).ok()?;
    Some(framed)
}

/// Passes messages on to a server, and breaks at the n-th. Counts them. Its
/// thread ends with the process.
fn proxy(to: u16, nth: usize, at: Break) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let seen = Arc::new(AtomicUsize::new(0));
    let count = seen.clone();
    thread::spawn(move || {
        for client in listener.incoming() {
            let (mut client, mut server) =
                (client.unwrap(), TcpStream::connect((Ipv4Addr::LOCALHOST, to)).unwrap());
            while let Some(request) = message(&mut client) {
                let broken = (count.fetch_add(1, Ordering::SeqCst) == nth).then_some(at);
                if broken == Some(Break::Request) {
                    break;
                }
                if broken == Some(Break::HalfARequest) {
                    server.write_all(&request[..request.len() / 2]).unwrap();
                    break;
                }
                server.write_all(&request).unwrap();
                let answer = message(&mut server).unwrap();
                if broken == Some(Break::Answer) {
                    break;
                }
                if broken == Some(Break::HalfAnAnswer) {
                    client.write_all(&answer[..answer.len() / 2]).unwrap();
                    break;
                }
                if client.write_all(&answer).is_err() {
                    break;
                }
            }
        }
    });
    (port, seen)
}

#[test]
fn a_connection_that_breaks_anywhere_leaves_what_the_next_attempt_finishes() {
    let mut stage = Stage::new();
    let primary = stage.pair.primary.port;
    // There is nothing to wait for: what is broken is between us and the primary.
    stage.with("authoritative_servers", json!([]));
    // From nothing, from other records, to nothing: broken at each message.
    for at in BREAKS {
        for nth in 0.. {
            let (port, seen) = proxy(primary, nth, at);
            stage.through = Some(port);
            let first = [stage.call(None).err(), {
                stage.with("records", json!({"CNAME": "other.example.com"}));
                stage.call(None).err()
            }];
            let gone = stage.destroy().err();
            for fault in first.into_iter().chain([gone]).flatten() {
                assert!(matches!(fault, Fault::Unavailable { .. }), "{at:?} {nth}: {fault}");
            }
            stage.through = None;
            stage.provision().unwrap();
            assert_eq!(stage.primary(NAME, "CNAME"), ["other.example.com."], "{at:?} {nth}");
            assert_eq!(stage.action(), Action::None);
            stage.with("records", json!({"A": ["192.0.2.10"]}));
            stage.destroy().unwrap();
            assert!(stage.primary(NAME, "ANY").is_empty(), "{at:?} {nth}");
            if seen.load(Ordering::SeqCst) <= nth {
                assert!(nth > 10, "only {nth} messages");
                break;
            }
        }
    }
}

#[test]
fn a_server_that_is_killed_keeps_what_it_has_acknowledged() {
    let mut stage = Stage::new();
    stage.provision().unwrap();
    stage.pair.primary.kill().unwrap();
    let primary = format!("127.0.0.1:{}", stage.pair.primary.port);
    for fault in [refused(stage.plan()), refused(stage.provision()), refused(stage.destroy())] {
        assert!(matches!(fault, Fault::Unavailable { .. }), "{fault}");
        assert!(fault.to_string().contains(&primary), "{fault}");
    }
    stage.pair.primary.start().unwrap();
    assert_eq!(stage.action(), Action::None);
    stage.with("records", json!({"A": "192.0.2.77"})).provision().unwrap();
    assert_eq!(stage.dig(NAME, "A"), ["192.0.2.77"]);
}

/// A server that answers each request with what this makes of it, and of BIND's
/// answer.
fn liar(to: u16, lie: impl Fn(&[u8], Vec<u8>) -> Vec<u8> + Send + 'static) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for client in listener.incoming() {
            let (mut client, mut server) =
                (client.unwrap(), TcpStream::connect((Ipv4Addr::LOCALHOST, to)).unwrap());
            while let Some(request) = message(&mut client) {
                server.write_all(&request).unwrap();
                let answer = message(&mut server).unwrap();
                if client.write_all(&lie(&request, answer)).is_err() {
                    break;
                }
            }
        }
    });
    port
}

/// Makes an answer of a request and of BIND's answer.
type Lie = fn(&[u8], Vec<u8>) -> Vec<u8>;

#[test]
fn nothing_is_believed_that_is_not_signed() {
    let mut stage = Stage::new();
    stage.provision().unwrap();
    let primary = stage.pair.primary.port;
    // The signature is cut off, and the count of records with it.
    stage.through = Some(liar(primary, |request, _| {
        let mut answer = request[..2 + 12].to_vec();
        answer[4] |= 0x84;
        answer[6..].fill(0);
        answer[0..2].copy_from_slice(&12_u16.to_be_bytes());
        // As if there were no such name.
        answer[5] = 3;
        answer
    }));
    for fault in [refused(stage.plan()), refused(stage.provision()), refused(stage.destroy())] {
        assert!(matches!(fault, Fault::Denied(_)), "{fault}");
        assert!(fault.to_string().contains("not signed"), "{fault}");
    }
    // An address is changed on the way.
    stage.through = Some(liar(primary, |_, answer| {
        let address = [192, 0, 2, 10];
        let place = answer.windows(4).position(|window| window == address);
        let mut answer = answer;
        if let Some(place) = place {
            answer[place] = 10;
        }
        answer
    }));
    let fault = refused(stage.plan());
    assert!(matches!(fault, Fault::Denied(_)), "{fault}");
    assert!(fault.to_string().contains("signature"), "{fault}");
}

#[test]
fn garbage_is_a_fault_and_no_more() {
    let mut stage = Stage::new();
    stage.provision().unwrap();
    let primary = stage.pair.primary.port;
    let lies: [Lie; 6] = [
        // No message can be so short.
        |_, _| vec![0, 0],
        |_, _| vec![0, 11, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        // The answer to another request.
        |_, mut answer| {
            answer[2] ^= 0xff;
            answer
        },
        // More records than there are bytes.
        |_, mut answer| {
            answer[8..10].fill(0xff);
            answer
        },
        // The longest message, of nothing but pointers.
        |request, _| {
            let mut answer = vec![0xff, 0xff];
            answer.extend(&request[2..6]);
            answer[4] |= 0x80;
            answer.extend([0, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
            answer.resize(65_537, 0xc0);
            answer
        },
        // The request itself.
        |request, _| request.to_vec(),
    ];
    for (index, lie) in lies.into_iter().enumerate() {
        stage.through = Some(liar(primary, lie));
        for fault in [refused(stage.plan()), refused(stage.provision()), refused(stage.destroy())] {
            assert!(matches!(fault, Fault::Unavailable { .. }), "{index}: {fault}");
        }
    }
    stage.through = None;
    assert_eq!(stage.action(), Action::None);
}
