use crate::request::{decode, form_pairs};
use crate::{Context, Error, Handler, Request, Response};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A message of a queue: taken from an event with [`Request::messages`], or made to be sent with [`crate::Queue`].
///
/// ```
/// # use execgate::Message;
/// # use std::time::Duration;
/// let message = Message::new("a teapot")
///     .content_type("text/plain")
///     .delay(Duration::from_secs(30))
///     .attribute("colour", "blue");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// The body.
    pub body: Vec<u8>,
    /// Its type; empty when the sender has not said.
    pub content_type: String,
    /// Messages of a group are handled one after the other; empty when it has none.
    pub group: String,
    /// Sent again within the queue's `dedupWindow`, it is kept once; empty when it has none.
    pub dedup: String,
    /// Names and values.
    pub attributes: Vec<(String, String)>,
    /// Of a message that was taken: the same in every attempt.
    pub id: String,
    /// Of a message that was taken: 1 in the first attempt.
    pub receive_count: u32,
    /// Of a message that was taken: when it was sent.
    pub sent: Option<SystemTime>,
    /// For sending: how long it waits; `None` is the queue's own delay.
    pub delay: Option<Duration>,
}

impl Message {
    /// A message to send.
    pub fn new(body: impl Into<Vec<u8>>) -> Message {
        Message {
            body: body.into(),
            ..Message::default()
        }
    }

    /// Sets the type of the body.
    pub fn content_type(mut self, kind: impl Into<String>) -> Message {
        self.content_type = kind.into();
        self
    }

    /// Sets the group.
    pub fn group(mut self, id: impl Into<String>) -> Message {
        self.group = id.into();
        self
    }

    /// Sets the id by which the queue knows it again.
    pub fn dedup(mut self, id: impl Into<String>) -> Message {
        self.dedup = id.into();
        self
    }

    /// Adds an attribute.
    pub fn attribute(mut self, name: impl Into<String>, value: impl Into<String>) -> Message {
        self.attributes.push((name.into(), value.into()));
        self
    }

    /// Sets how long it waits, instead of the queue's own delay.
    pub fn delay(mut self, delay: Duration) -> Message {
        self.delay = Some(delay);
        self
    }

    /// The value of an attribute.
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|(n, _)| n == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The body as text; the error says where it is none.
    pub fn text(&self) -> Result<&str, std::str::Utf8Error> {
        std::str::from_utf8(&self.body)
    }

    /// From a request message that is one.
    fn of(request: Request) -> Option<Message> {
        let field = |name| request.header(name).unwrap_or("");
        let ms = field("Queue-Sent").parse().ok();
        let message = Message {
            body: Vec::new(),
            content_type: field("Content-Type").to_string(),
            group: decode(field("Queue-Group-Id"), true),
            dedup: decode(field("Queue-Dedup-Id"), true),
            attributes: form_pairs(field("Queue-Attributes")),
            id: request.header("Queue-Message-Id")?.to_string(),
            receive_count: field("Queue-Receive-Count").parse().unwrap_or(0),
            sent: ms.and_then(|ms| UNIX_EPOCH.checked_add(Duration::from_millis(ms))),
            delay: None,
        };
        Some(Message {
            body: request.into_body(),
            ..message
        })
    }
}

fn no_batch() -> Error {
    Error::new("NoMessages", "the event has no messages of a queue")
}

impl Request {
    /// What an event from a queue brings. With `batch: 1` the event is the message.
    pub fn messages(&self) -> Result<Vec<Message>, Error> {
        if self.header("Queue-Message-Id").is_some() {
            return Message::of(self.clone()).map_or_else(|| Err(no_batch()), |one| Ok(vec![one]));
        }
        if self.trigger() != "queue" {
            return Err(no_batch());
        }
        let (mut messages, mut rest) = (Vec::new(), self.body());
        while !rest.is_empty() {
            let (one, next) = Request::read_message(rest).ok_or_else(no_batch)?;
            messages.push(Message::of(one).ok_or_else(no_batch)?);
            rest = next;
        }
        Ok(messages)
    }
}

impl Response {
    /// The answer to an event from a queue that names the messages that failed, by their ids; all others have
    /// succeeded. The trigger needs `reportFailures: true`: without it an answer is success, whatever it says.
    pub fn failures<I: Into<String>>(ids: impl IntoIterator<Item = I>) -> Response {
        use crate::json::Json;
        let named = ids.into_iter().map(|id| {
            let id: String = id.into();
            Json::object([("itemIdentifier", Json::from(id))])
        });
        let list = Json::List(named.collect());
        Response::json(200, Json::object([("batchItemFailures", list)]))
    }
}

/// Handles the messages of an event one after the other. Those whose result is an error come again, the others are done:
/// with `batch` above 1 the trigger needs `reportFailures: true` for that.
///
/// An error may say when ([`Error::retry_after`], [`Error::no_retry`]). Of several messages nobody could say which was
/// meant, so each first comes again alone, and is asked then. A panic fails all messages of the event.
///
/// ```no_run
/// # use execgate::{each_message, Context, Error, Message};
/// # use std::time::Duration;
/// fn ship(message: &Message, _context: &Context) -> Result<(), Error> {
///     match message.text()? {
///         "" => Err(Error::new("NoOrder", "it is empty").no_retry()),
///         "fragile" => Err(Error::new("NoPacker", "not now").retry_after(Duration::from_secs(60))),
///         _ => Ok(()),
///     }
/// }
///
/// fn main() -> std::io::Result<()> {
///     execgate::serve(each_message(ship))
/// }
/// ```
pub fn each_message<F>(handle: F) -> impl Handler
where
    F: Fn(&Message, &Context) -> Result<(), Error> + Sync,
{
    move |request: Request, context: Context| {
        let messages = request.messages()?;
        let mut failed = Vec::new();
        for message in &messages {
            match handle(message, &context) {
                Ok(()) => {}
                Err(e) if messages.len() == 1 => return Err(e),
                Err(e) => {
                    eprintln!(
                        "execgate: message {}: {}: {}",
                        message.id,
                        e.kind(),
                        e.message()
                    );
                    failed.push(message.id.clone());
                }
            }
        }
        Ok(Response::failures(failed))
    }
}
