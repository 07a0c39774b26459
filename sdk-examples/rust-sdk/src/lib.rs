//! Be a handler of execgate, in Rust, with nothing but the standard library.
//!
//! ```no_run
//! use execgate::{Context, Error, Request, Response};
//!
//! fn hello(request: Request, _context: Context) -> Result<Response, Error> {
//!     let name = request.query("name").unwrap_or_else(|| "world".to_string());
//!     Ok(Response::text(200, format!("Hello, {}!\n", name)))
//! }
//!
//! fn main() -> std::io::Result<()> {
//!     execgate::serve(hello)
//! }
//! ```
//!
//! execgate starts the program and tells it in `EXECGATE_RUNTIME_SOCKET` where to take events. Each event is an HTTP
//! request, each answer an HTTP response, and an exchange carries answers there and brings events back, up to
//! `EXECGATE_CONCURRENCY` of them (`processes: {concurrency: N}` in the blueprint). Events are handled by as many
//! threads as are needed: one as long as handlers are quick, one per event when they wait.
//!
//! A handler that returns an error or panics fails that one event: the client gets 502, the log the error, or the panic
//! and where it happened; the process goes on (unless the profile says `panic = "abort"`).
//!
//! Messages of queues come several to an event: [`each_message`], [`Request::messages`]. [`Context::queue`] is where they
//! are sent. [`Context::connection`] and [`Context::group`] send to WebSocket clients, from any handler.
//!
//! [`serve`] returns once the gateway wants no more of this process, or SIGTERM came, and everything that was held is
//! answered. Tests of handlers are in [`testing`].

#![warn(missing_docs)]

mod connected;
mod connection;
mod context;
mod crew;
pub mod json;
mod message;
mod outbox;
mod queue;
mod request;
mod response;
mod server;
mod stop;
mod stream;
pub mod testing;
mod wire;

pub use connection::{CallError, Connection, Group};
pub use context::Context;
pub use message::{each_message, Message};
pub use queue::{Queue, Receipt, SendError};
pub use request::Request;
pub use response::{Error, Response};
pub use server::{serve, Handler, Server};
pub use stop::Stopper;
pub use stream::Stream;
