//! What a handler has sent to queues; what goes with an answer waits for it.

use crate::json::Json;
use crate::testing::{broken, new_id, Fields};
use crate::Message;
use std::collections::HashMap;
use std::io;
use std::time::Duration;

/// A message that a handler has sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posted {
    /// Where to.
    pub queue: String,
    /// By [`crate::Queue::send_with_answer`].
    pub with_answer: bool,
    /// What.
    pub message: Message,
}

#[derive(Default)]
pub(crate) struct Outbox {
    pub kept: Vec<Posted>,
    held: HashMap<String, Vec<Posted>>,
    pub refusal: u16,
    pub stalled: bool,
}

impl Outbox {
    /// The gateway's reply to messages that were sent.
    pub fn post(&mut self, queue: &str, invocation: Option<&str>, messages: Vec<Message>) -> Json {
        let mut receipts = Vec::new();
        for mut message in messages {
            if let Some(id) = invocation {
                let posted = Posted {
                    queue: queue.to_string(),
                    with_answer: true,
                    message,
                };
                self.held.entry(id.to_string()).or_default().push(posted);
                continue;
            }
            let duplicate = self.duplicate_of(queue, &message.dedup);
            message.id = duplicate.clone().unwrap_or_else(new_id);
            receipts.push(Json::object([
                ("messageId", Json::from(message.id.as_str())),
                ("duplicate", Json::from(duplicate.is_some())),
            ]));
            if duplicate.is_none() {
                self.kept.push(Posted {
                    queue: queue.to_string(),
                    with_answer: false,
                    message,
                });
            }
        }
        Json::object([("messages", Json::List(receipts))])
    }

    fn duplicate_of(&self, queue: &str, dedup: &str) -> Option<String> {
        let same = |p: &&Posted| !dedup.is_empty() && p.queue == queue && p.message.dedup == dedup;
        self.kept.iter().find(same).map(|p| p.message.id.clone())
    }

    /// Sends or forgets what went with an answer.
    pub fn settle(&mut self, invocation: &str, succeeded: bool) {
        let held = self.held.remove(invocation).unwrap_or_default();
        if succeeded {
            self.kept.extend(held);
        }
    }
}

/// The list that came to `POST /v1/queues/{name}/messages`.
pub(crate) fn read_list(fields: &Fields, body: &[u8]) -> io::Result<Vec<Message>> {
    let kind = fields.get("content-type").map_or("", String::as_str);
    if kind != "application/vnd.execgate.messages+json" {
        return Err(broken(kind));
    }
    let text = std::str::from_utf8(body).map_err(|_| broken("a list that is no text"))?;
    let list = Json::parse(text).map_err(|_| broken(text))?;
    let list = list["messages"].as_list().ok_or_else(|| broken(text))?;
    list.iter().map(read_one).collect()
}

fn read_one(one: &Json) -> io::Result<Message> {
    let text = |name: &str| one[name].as_str().unwrap_or("").to_string();
    let mut message = Message::new(decoded(&text("bodyBase64")).ok_or_else(|| broken("base64"))?)
        .content_type(text("contentType"))
        .group(text("groupId"))
        .dedup(text("dedupId"));
    if let Json::Object(members) = &one["attributes"] {
        for (name, value) in members {
            message = message.attribute(name.as_str(), value.as_str().unwrap_or(""));
        }
    }
    let ms = text("delay");
    message.delay = match ms.strip_suffix("ms") {
        Some(number) => Some(Duration::from_millis(
            number.parse().map_err(|_| broken(&ms))?,
        )),
        None => None,
    };
    Ok(message)
}

/// RFC 4648 section 4.
fn decoded(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    for four in text.as_bytes().chunks(4) {
        let (mut bits, mut letters) = (0u32, 0);
        for c in four.iter().filter(|c| **c != b'=') {
            let value = match c {
                b'A'..=b'Z' => c - b'A',
                b'a'..=b'z' => c - b'a' + 26,
                b'0'..=b'9' => c - b'0' + 52,
                b'+' => 62,
                b'/' => 63,
                _ => return None,
            };
            bits |= u32::from(value) << (18 - 6 * letters);
            letters += 1;
        }
        bytes.extend_from_slice(&bits.to_be_bytes()[1..letters.max(1)]);
    }
    Some(bytes)
}
