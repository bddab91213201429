//! Time, chance, and receivers of messages.

use async_trait::async_trait;
use deployd_core::outbox::MessageId;
use deployd_core::ports::{Answer, Clock, Outgoing, Random, Sender};
use deployd_core::{Fault, Timestamp};

use super::Instance;
use crate::history::Seen;

impl Clock for Instance {
    fn now(&self) -> Timestamp {
        self.world.now()
    }
}

impl Random for Instance {
    fn fill(&self, buffer: &mut [u8]) {
        for byte in buffer {
            *byte = self.world.chance.lock().unwrap().below(256) as u8;
        }
    }
}

/// A generator of numbers that look random and are the same for the same seed.
pub struct Chance(u64);

impl Chance {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// SplitMix64.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    /// True in so many of a hundred cases.
    pub fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// What a receiver does.
#[derive(Debug, Clone)]
pub enum Receiver {
    Answers(u16),
    AnswersLater(u16, u64),
    Fails(Fault),
    Hangs,
}

/// A request that a receiver got.
#[derive(Debug, Clone)]
pub struct Received {
    pub at: Timestamp,
    pub request: Outgoing,
}

impl Received {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.request.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub fn id(&self) -> String {
        self.header("webhook-id").unwrap().to_owned()
    }

    pub fn event(&self) -> serde_json::Value {
        serde_json::from_slice(&self.request.body).unwrap()
    }
}

#[derive(Default)]
pub struct Receivers {
    /// What comes next, first to last; then everything is answered with 204, and
    /// requests to `chat` with 200 and the number of the request.
    pub script: std::collections::VecDeque<Receiver>,
    pub received: Vec<Received>,
}

#[async_trait]
impl Sender for Instance {
    async fn send(&self, request: Outgoing) -> Result<Answer, Fault> {
        let sent = async {
            let at = self.world.now();
            let is_chat = request.url.starts_with("https://chat.test/");
            let (next, number) = {
                let mut receivers = self.world.receivers.lock().unwrap();
                let received = Received { at, request };
                self.world.saw(Seen::Sent { message: MessageId(received.id()) });
                receivers.received.push(received);
                let next = receivers.script.pop_front();
                let next = next.unwrap_or(Receiver::Answers(if is_chat { 200 } else { 204 }));
                (next, receivers.received.len())
            };
            match next {
                Receiver::Answers(status) => {
                    let body = format!("{{\"id\": {number}}}").into_bytes();
                    Ok(Answer { status, body, ..Answer::default() })
                }
                Receiver::AnswersLater(status, ms) => {
                    Ok(Answer { status, retry_after_ms: Some(ms), ..Answer::default() })
                }
                Receiver::Fails(fault) => Err(fault),
                Receiver::Hangs => std::future::pending().await,
            }
        };
        self.operation("send", sent).await
    }
}
