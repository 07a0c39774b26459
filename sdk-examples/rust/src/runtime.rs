//! The native runtime API: `POST /v1/exchange?max=N` over the Unix socket that execgate gives the process.
//!
//! Each exchange carries the answers of the last batch there and brings the next events back, as HTTP messages
//! one behind the other. The gateway's replies and events always have an exact Content-Length.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;

pub struct Event<'a> {
    pub method: &'a str,
    pub body: &'a [u8],
}

pub struct Answer {
    pub status: u16,
    pub content_type: &'static str,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn json(status: u16, text: String) -> Answer {
        Answer {
            status,
            content_type: "application/json",
            body: text.into_bytes(),
        }
    }

    fn write(&self, id: &str, out: &mut Vec<u8>) -> io::Result<()> {
        write!(
            out,
            "HTTP/1.1 {} \r\nExecgate-Invocation-Id: {}\r\n",
            self.status, id
        )?;
        write!(
            out,
            "Content-Type: {}\r\nContent-Length: {}\r\n\r\n",
            self.content_type,
            self.body.len()
        )?;
        out.write_all(&self.body)
    }
}

/// The head of a message: its first line and its fields.
struct Head {
    start: String,
    fields: Vec<(String, String)>,
}

impl Head {
    /// `None` at the end of the input.
    fn read(input: &mut impl BufRead) -> io::Result<Option<Head>> {
        let mut head = Head {
            start: String::new(),
            fields: Vec::new(),
        };
        if input.read_line(&mut head.start)? == 0 {
            return Ok(None);
        }
        loop {
            let mut bytes = Vec::new();
            input.read_until(b'\n', &mut bytes)?;
            // Values are octets (RFC 9110 section 5.5), so a client's may be no UTF-8.
            let line = String::from_utf8_lossy(&bytes);
            let Some((name, value)) = line.trim_end().split_once(':') else {
                return if line == "\r\n" {
                    Ok(Some(head))
                } else {
                    Err(invalid("a head without its end"))
                };
            };
            head.fields
                .push((name.to_ascii_lowercase(), value.trim().to_string()));
        }
    }

    fn field(&self, name: &str) -> Option<&str> {
        self.fields
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.as_str())
    }

    fn content_length(&self) -> usize {
        self.field("content-length")
            .and_then(|text| text.parse().ok())
            .unwrap_or(0)
    }
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

fn variable(name: &str) -> io::Result<String> {
    std::env::var(name).map_err(|_| invalid(&format!("{name} is not set; does execgate run this?")))
}

/// Every event of a batch through the handler; the answers are returned as the next exchange's body.
fn handle_batch(batch: &[u8], handler: &mut impl FnMut(&Event) -> Answer) -> io::Result<Vec<u8>> {
    let (mut rest, mut answers) = (batch, Vec::new());
    while let Some(head) = Head::read(&mut rest)? {
        let size = head.content_length();
        if size > rest.len() {
            return Err(invalid("an event that is cut off"));
        }
        let (body, next) = rest.split_at(size);
        let method = head.start.split(' ').next().unwrap_or("");
        let id = head
            .field("execgate-invocation-id")
            .ok_or_else(|| invalid("an event without an id"))?;
        handler(&Event { method, body }).write(id, &mut answers)?;
        rest = next;
    }
    Ok(answers)
}

/// Serves until the gateway says drain or closes the connection.
pub fn run(mut handler: impl FnMut(&Event) -> Answer) -> io::Result<()> {
    let mut writer = UnixStream::connect(variable("EXECGATE_RUNTIME_SOCKET")?)?;
    let mut reader = BufReader::new(writer.try_clone()?);
    let max = std::env::var("EXECGATE_CONCURRENCY").unwrap_or_else(|_| "1".to_string());
    let (mut answers, mut message) = (Vec::new(), Vec::new());
    loop {
        message.clear();
        write!(message, "POST /v1/exchange?max={max} HTTP/1.1\r\nHost: execgate\r\nContent-Type: application/http\r\n")?;
        write!(message, "Content-Length: {}\r\n\r\n", answers.len())?;
        message.extend_from_slice(&answers);
        writer.write_all(&message)?;
        let Some(reply) = Head::read(&mut reader)? else {
            return Ok(());
        };
        let mut body = vec![0; reply.content_length()];
        reader.read_exact(&mut body)?;
        if !reply.start.starts_with("HTTP/1.1 200") {
            return Err(invalid(&format!(
                "{} {}",
                reply.start.trim_end(),
                String::from_utf8_lossy(&body)
            )));
        }
        if let Some(refused) = reply.field("execgate-refused") {
            eprintln!("answers refused: {refused}");
        }
        if reply.field("execgate-drain").is_some() {
            return Ok(());
        }
        answers = handle_batch(&body, &mut handler)?;
    }
}
