use crate::request::percent_encode;
use crate::stream::Stream;
use std::io::{self, Write};
use std::time::Duration;

/// Leaves an event stream to the gateway.
const GROUPS: &str = "Execgate-Groups";

type Producer = Box<dyn FnOnce(&mut Stream) -> io::Result<()> + Send>;

/// An answer: 200 with an empty body unless said otherwise.
pub struct Response {
    pub(crate) status: u16,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) producer: Option<Producer>,
}

impl Response {
    /// An answer without a body.
    pub fn new(status: u16) -> Response {
        Response {
            status,
            fields: Vec::new(),
            body: Vec::new(),
            producer: None,
        }
    }

    /// Plain text.
    pub fn text(status: u16, text: impl Into<String>) -> Response {
        Response::new(status)
            .header("Content-Type", "text/plain; charset=utf-8")
            .body(text.into())
    }

    /// JSON: a [`crate::json::Json`], or what is JSON already.
    pub fn json(status: u16, value: impl ToString) -> Response {
        Response::new(status)
            .header("Content-Type", "application/json")
            .body(value.to_string())
    }

    /// A stream of server-sent events that goes on without the handler, in these groups, which must not be none;
    /// `events`, whole ones, are its beginning.
    pub fn event_stream(events: impl Into<String>, groups: &[&str]) -> Response {
        let names: Vec<String> = groups.iter().map(|name| percent_encode(name)).collect();
        Response::new(200)
            .header("Content-Type", "text/event-stream")
            .header(GROUPS, names.join(","))
            .body(events.into())
    }

    /// Adds a field. `Content-Length`, `Transfer-Encoding` and `Execgate-...` (but `Execgate-Groups`) are the gateway's to
    /// say and are left out.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Response {
        self.fields.push((name.into(), value.into()));
        self
    }

    /// Sets the body.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Response {
        self.body = body.into();
        self
    }

    /// Goes on with a body that is sent while it is made: each write leaves at once and waits while the client is slow.
    /// An error breaks the answer off.
    ///
    /// ```
    /// # use execgate::Response;
    /// use std::io::Write;
    /// let answer = Response::new(200).header("Content-Type", "text/plain").stream(|out| {
    ///     for step in 1..=3 {
    ///         writeln!(out, "step {}", step)?;
    ///     }
    ///     Ok(())
    /// });
    /// ```
    pub fn stream(
        mut self,
        producer: impl FnOnce(&mut Stream) -> io::Result<()> + Send + 'static,
    ) -> Response {
        self.producer = Some(Box::new(producer));
        self
    }

    /// Appends the answer's message to a pipeline; nothing is appended when it is not valid.
    pub(crate) fn append(&self, out: &mut Vec<u8>, id: &str) -> Result<(), Error> {
        let start = out.len();
        let body: &[u8] = match self.status {
            204 | 304 => &[],
            _ => &self.body,
        };
        if let Err(e) = self.append_head(out, id) {
            out.truncate(start);
            return Err(e);
        }
        append_number(out, "Content-Length: ", body.len());
        out.extend_from_slice(b"\r\n\r\n");
        out.extend_from_slice(body);
        Ok(())
    }

    /// The message up to where it is streamed on from.
    pub(crate) fn append_streamed(&self, out: &mut Vec<u8>, id: &str) -> Result<(), Error> {
        self.append_head(out, id)?;
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(&self.body);
        Ok(())
    }

    fn append_head(&self, out: &mut Vec<u8>, id: &str) -> Result<(), Error> {
        if !(200..=599).contains(&self.status) {
            let text = format!("the status {} is not one of 200 to 599", self.status);
            return Err(Error::new("InvalidAnswer", text));
        }
        append_number(out, "HTTP/1.1 ", self.status.into());
        out.extend_from_slice(b" \r\nExecgate-Invocation-Id: ");
        out.extend_from_slice(id.as_bytes());
        out.extend_from_slice(b"\r\n");
        for (name, value) in self.fields.iter().filter(|(name, _)| is_ours(name)) {
            if !is_token(name) || !is_field_value(value) {
                let text = format!("the field {:?}: {:?} is not valid", name, value);
                return Err(Error::new("InvalidAnswer", text));
            }
            for part in [name, ": ", value, "\r\n"] {
                out.extend_from_slice(part.as_bytes());
            }
        }
        Ok(())
    }
}

impl Default for Response {
    fn default() -> Response {
        Response::new(200)
    }
}

/// Why a handler failed: a type of its own for the log and the caller, and a text for the log. Every
/// [`std::error::Error`] becomes one by `?`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    kind: String,
    message: String,
    retry: Option<Duration>,
    is_final: bool,
}

impl Error {
    /// The type is a name: letters, digits and `._:-$*`.
    pub fn new(kind: impl Into<String>, message: impl Into<String>) -> Error {
        Error {
            kind: kind.into(),
            message: message.into(),
            retry: None,
            is_final: false,
        }
    }

    /// For events from queues: their messages come again after this time, and not after the queue's policy.
    pub fn retry_after(mut self, delay: Duration) -> Error {
        self.retry = Some(delay);
        self
    }

    /// For events from queues: the message shall not come again. It goes to the queue's dead letters at once; the other
    /// messages of the event come again, one by one.
    pub fn no_retry(mut self) -> Error {
        self.is_final = true;
        self
    }

    /// The field that says when the messages come again.
    fn retry_field(&self) -> String {
        match self.retry {
            _ if self.is_final => "Execgate-Retry: false\r\n".to_string(),
            Some(delay) => format!("Execgate-Retry: {}ms\r\n", delay.as_millis()),
            None => String::new(),
        }
    }

    /// The type.
    pub fn kind(&self) -> &str {
        if is_token(&self.kind) {
            &self.kind
        } else {
            "Error"
        }
    }

    /// The text.
    pub fn message(&self) -> &str {
        &self.message
    }

    pub(crate) fn append(&self, out: &mut Vec<u8>, id: &str) {
        let start = format!(
            "HTTP/1.1 500 \r\nExecgate-Invocation-Id: {}\r\nExecgate-Error: {}\r\n{}Content-Length: {}\r\n\r\n",
            id,
            self.kind(),
            self.retry_field(),
            self.message.len()
        );
        out.extend_from_slice(start.as_bytes());
        out.extend_from_slice(self.message.as_bytes());
    }
}

impl<E: std::error::Error> From<E> for Error {
    fn from(e: E) -> Error {
        Error::new("Error", e.to_string())
    }
}

fn append_number(out: &mut Vec<u8>, before: &str, number: usize) {
    // Writing to memory does not fail.
    let _ = write!(out, "{}{}", before, number);
}

/// False for the fields that are the gateway's to say.
fn is_ours(name: &str) -> bool {
    let own = name
        .get(..9)
        .map_or(false, |start| start.eq_ignore_ascii_case("Execgate-"));
    (!own || name.eq_ignore_ascii_case(GROUPS))
        && !name.eq_ignore_ascii_case("Content-Length")
        && !name.eq_ignore_ascii_case("Transfer-Encoding")
}

/// RFC 9110 section 5.6.2.
fn is_token(text: &str) -> bool {
    let known = |c: u8| c.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&c);
    !text.is_empty() && text.bytes().all(known)
}

/// RFC 9110 section 5.5: no control characters but the tab.
fn is_field_value(text: &str) -> bool {
    text.bytes().all(|c| c == b'\t' || (c >= b' ' && c != 0x7f))
}
