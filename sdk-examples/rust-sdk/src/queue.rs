use crate::connected::Connections;
use crate::json::Json;
use crate::request::percent_encode;
use crate::wire::{Address, Reply};
use crate::Message;
use std::fmt;
use std::io;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

/// How long a send may take when there is no deadline.
const PATIENCE: Duration = Duration::from_secs(60);

/// A queue of the blueprint, to send to: [`crate::Context::queue`] in a handler, [`Queue::new`] elsewhere in its
/// process.
///
/// In a handler a send gives up at the event's deadline. Nothing is known then, nor when the connection is lost: a sender
/// who wants to be sure sends again with the same [`Message::dedup`].
#[derive(Clone)]
pub struct Queue {
    name: String,
    way: Way,
    invocation: Option<String>,
    deadline: Option<SystemTime>,
}

/// Where messages go.
#[derive(Clone)]
pub(crate) enum Way {
    Gateway(Address),
    Test {
        /// Queue, sent with the answer?, the message.
        out: Sender<(String, bool, Message)>,
        open: Arc<Mutex<Connections>>,
    },
}

/// What the queue says of a message that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The message's id.
    pub id: String,
    /// Nothing was kept: the id is that of the first one with this [`Message::dedup`].
    pub duplicate: bool,
}

/// Why messages were not sent.
#[derive(Debug)]
pub enum SendError {
    /// The queue does not take them: 404 when it is not in the blueprint, 400 and 413 for what is wrong with a message,
    /// 503 when they could not be kept.
    Refused {
        /// The status.
        status: u16,
        /// What the gateway says.
        detail: String,
    },
    /// Nothing is known: the connection was lost, or the deadline has passed ([`io::ErrorKind::TimedOut`]).
    Lost(io::Error),
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SendError::Refused { status, detail } => {
                write!(f, "the queue answered {}: {}", status, detail)
            }
            SendError::Lost(e) => {
                write!(
                    f,
                    "it is not known whether the queue has the messages: {}",
                    e
                )
            }
        }
    }
}

impl std::error::Error for SendError {}

impl From<io::Error> for SendError {
    /// What waiting has cost is a timeout, whatever the system calls it.
    fn from(e: io::Error) -> SendError {
        SendError::Lost(match e.kind() {
            io::ErrorKind::WouldBlock => io::ErrorKind::TimedOut.into(),
            _ => e,
        })
    }
}

impl Queue {
    /// A queue for senders that handle no event at the moment.
    pub fn new(name: impl Into<String>) -> Queue {
        Queue::of(
            name.into(),
            Way::Gateway(Address::from_environment()),
            None,
            None,
        )
    }

    pub(crate) fn of(
        name: String,
        way: Way,
        invocation: Option<String>,
        deadline: Option<SystemTime>,
    ) -> Queue {
        Queue {
            name,
            way,
            invocation,
            deadline,
        }
    }

    /// Sends a message. It is on disk when this returns.
    pub fn send(&self, message: Message) -> Result<Receipt, SendError> {
        let receipt = self.send_all([message])?.pop();
        receipt.ok_or_else(|| SendError::Lost(io::ErrorKind::InvalidData.into()))
    }

    /// Sends messages, all of them or none; at most 1000.
    pub fn send_all(
        &self,
        messages: impl IntoIterator<Item = Message>,
    ) -> Result<Vec<Receipt>, SendError> {
        let messages: Vec<Message> = messages.into_iter().collect();
        let reply = match &self.way {
            _ if messages.is_empty() => return Ok(Vec::new()),
            Way::Gateway(address) => self.post(address, None, &messages)?,
            Way::Test { out, .. } => return Ok(self.keep(out, false, messages)),
        };
        receipts(&reply)
    }

    /// Sends messages together with the answer to the event: when the handler has succeeded they are put on disk, in one
    /// transaction with all else that was sent so, and only then its answer counts. When the handler fails, nothing
    /// is sent.
    pub fn send_with_answer(
        &self,
        messages: impl IntoIterator<Item = Message>,
    ) -> Result<(), SendError> {
        let messages: Vec<Message> = messages.into_iter().collect();
        let no_event = || SendError::Refused {
            status: 404,
            detail: "there is no event whose answer they could go with".to_string(),
        };
        let invocation = self.invocation.as_deref().ok_or_else(no_event)?;
        let reply = match &self.way {
            _ if messages.is_empty() => return Ok(()),
            Way::Gateway(address) => self.post(address, Some(invocation), &messages)?,
            Way::Test { out, .. } => {
                self.keep(out, true, messages);
                return Ok(());
            }
        };
        check(&reply)
    }

    fn keep(
        &self,
        out: &Sender<(String, bool, Message)>,
        with_answer: bool,
        messages: Vec<Message>,
    ) -> Vec<Receipt> {
        let mut receipts = Vec::new();
        for message in messages {
            receipts.push(Receipt {
                id: crate::testing::new_id(),
                duplicate: false,
            });
            // The test may have ended before a thread of its handler.
            let _ = out.send((self.name.clone(), with_answer, message));
        }
        receipts
    }

    fn post(
        &self,
        address: &Address,
        invocation: Option<&str>,
        messages: &[Message],
    ) -> Result<Reply, SendError> {
        let list = Json::List(messages.iter().map(listed).collect());
        let body = Json::object([("messages", list)]).to_string();
        let mut head = format!(
            "POST /v1/queues/{}/messages HTTP/1.1\r\nHost: execgate\r\nContent-Type: application/vnd.execgate.messages+json\r\n",
            percent_encode(&self.name)
        );
        if let Some(id) = invocation {
            head += &format!("Execgate-Invocation-Id: {}\r\n", id);
        }
        head += &format!("Content-Length: {}\r\n\r\n", body.len());
        let mut wire = address.open()?;
        wire.limit(patience(self.deadline)?)?;
        wire.send(head.as_bytes(), body.as_bytes())?;
        wire.limit(patience(self.deadline)?)?;
        Ok(wire.reply()?)
    }
}

/// What is left until the deadline.
pub(crate) fn patience(deadline: Option<SystemTime>) -> io::Result<Duration> {
    let left = match deadline {
        None => PATIENCE,
        Some(at) => at.duration_since(SystemTime::now()).unwrap_or_default(),
    };
    if left.is_zero() {
        return Err(io::ErrorKind::TimedOut.into());
    }
    Ok(left.min(PATIENCE))
}

fn listed(message: &Message) -> Json {
    let delay = message
        .delay
        .map_or(String::new(), |delay| format!("{}ms", delay.as_millis()));
    let mut members = vec![("bodyBase64", base64(&message.body))];
    for (name, text) in [
        ("contentType", &message.content_type),
        ("groupId", &message.group),
        ("dedupId", &message.dedup),
        ("delay", &delay),
    ] {
        if !text.is_empty() {
            members.push((name, text.clone()));
        }
    }
    let mut members: Vec<(&str, Json)> = members
        .into_iter()
        .map(|(name, text)| (name, Json::from(text)))
        .collect();
    let attributes = message.attributes.iter();
    let attributes: Vec<(String, Json)> = attributes
        .map(|(name, value)| (name.clone(), Json::from(value.as_str())))
        .collect();
    if !attributes.is_empty() {
        members.push(("attributes", Json::Object(attributes)));
    }
    Json::object(members)
}

fn check(reply: &Reply) -> Result<(), SendError> {
    if reply.status == 202 {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&reply.body);
    let problem = Json::parse(&text).unwrap_or(Json::Null);
    let said = problem["detail"].as_str().or(problem["title"].as_str());
    Err(SendError::Refused {
        status: reply.status,
        detail: said.unwrap_or(&text).to_string(),
    })
}

fn receipts(reply: &Reply) -> Result<Vec<Receipt>, SendError> {
    check(reply)?;
    let broken = || SendError::Lost(io::ErrorKind::InvalidData.into());
    let kept = Json::parse(&String::from_utf8_lossy(&reply.body)).map_err(|_| broken())?;
    let list = kept["messages"].as_list().ok_or_else(broken)?;
    let receipt = |one: &Json| Receipt {
        id: one["messageId"].as_str().unwrap_or("").to_string(),
        duplicate: one["duplicate"].as_bool().unwrap_or(false),
    };
    Ok(list.iter().map(receipt).collect())
}

/// RFC 4648 section 4.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len() / 3 * 4 + 4);
    for three in bytes.chunks(3) {
        let byte = |at| u32::from(three.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for at in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * at) & 63) as usize] as char;
            text.push(if at > three.len() { '=' } else { letter });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_as_the_rfc_has_it() {
        // RFC 4648 section 10
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
        assert_eq!(base64(b"\xff\xfe\xfd"), "//79");
    }
}
