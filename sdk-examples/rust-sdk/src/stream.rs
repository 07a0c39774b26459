use crate::wire::{Address, Wire};
use crate::{Context, Error, Response};
use std::io::{self, Write};

/// A body that is sent while it is made, in chunks (RFC 9112 section 7.1) on a connection of its own. When the client
/// has left, writing fails.
pub struct Stream {
    sink: Sink,
    context: Option<Context>,
}

enum Sink {
    Wire(Box<Wire>),
    Memory(Vec<u8>),
}

impl Stream {
    pub(crate) fn begin(
        address: &Address,
        id: &str,
        response: &Response,
        context: &Context,
    ) -> Result<Stream, Error> {
        let mut first = Vec::new();
        response.append_streamed(&mut first, id)?;
        let head = format!(
            "POST /v1/invocations/{}/response HTTP/1.1\r\nHost: execgate\r\nContent-Type: application/http\r\n\
             Transfer-Encoding: chunked\r\nTrailer: Execgate-Error\r\n\r\n",
            id
        );
        let mut wire = address.open()?;
        wire.send(head.as_bytes(), &chunk(&first))?;
        Ok(Stream {
            sink: Sink::Wire(Box::new(wire)),
            context: Some(context.clone()),
        })
    }

    pub(crate) fn memory() -> Stream {
        Stream {
            sink: Sink::Memory(Vec::new()),
            context: None,
        }
    }

    pub(crate) fn into_memory(self) -> Vec<u8> {
        match self.sink {
            Sink::Memory(bytes) => bytes,
            Sink::Wire(_) => Vec::new(),
        }
    }

    /// The last chunk. A failure goes into the trailer: the gateway then breaks the client's connection off.
    pub(crate) fn end(self, failure: Option<&Error>) -> io::Result<()> {
        let last = match failure {
            Some(e) => format!("0\r\nExecgate-Error: {}\r\n\r\n", e.kind()),
            None => "0\r\n\r\n".to_string(),
        };
        if let Sink::Wire(mut wire) = self.sink {
            wire.send(last.as_bytes(), &[])?;
            wire.reply()?;
        }
        Ok(())
    }
}

fn chunk(data: &[u8]) -> Vec<u8> {
    let mut frame = format!("{:x}\r\n", data.len()).into_bytes();
    frame.extend_from_slice(data);
    frame.extend_from_slice(b"\r\n");
    frame
}

impl Write for Stream {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.write_all(data).map(|()| data.len())
    }

    /// All of it in one chunk; nothing for no data, which would be the end.
    fn write_all(&mut self, data: &[u8]) -> io::Result<()> {
        let wire = match &mut self.sink {
            Sink::Memory(bytes) => return bytes.write_all(data),
            Sink::Wire(wire) => wire,
        };
        if data.is_empty() {
            return Ok(());
        }
        let sent = wire.send(&chunk(data), &[]);
        if let (Err(_), Some(context)) = (&sent, &self.context) {
            context.cancel();
        }
        sent
    }

    /// `write!` in one chunk, not one for each of its parts.
    fn write_fmt(&mut self, text: std::fmt::Arguments<'_>) -> io::Result<()> {
        self.write_all(text.to_string().as_bytes())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
