use crate::crew::Crew;
use crate::wire::Address;
use crate::{Context, Error, Request, Response, Stopper};
use std::io;

/// Answers events. Every `Fn(Request, Context) -> Result<Response, Error>` does.
pub trait Handler: Sync {
    /// Called by several threads at once when the blueprint allows it.
    fn handle(&self, request: Request, context: Context) -> Result<Response, Error>;
}

impl<F: Fn(Request, Context) -> Result<Response, Error> + Sync> Handler for F {
    fn handle(&self, request: Request, context: Context) -> Result<Response, Error> {
        self(request, context)
    }
}

/// Takes events and answers them until the gateway wants no more of this process or SIGTERM comes; what is held by then
/// is answered first. An error is that of a gateway that is not there, or not understood.
pub fn serve(handler: impl Handler) -> io::Result<()> {
    let server = Server::new();
    server.stopper().watch_sigterm();
    server.run(handler)
}

/// What [`serve`] runs, for programs that want to say more.
#[derive(Default)]
pub struct Server {
    address: Option<Address>,
    concurrency: Option<usize>,
    stopper: Stopper,
}

impl Server {
    /// All as the environment says.
    pub fn new() -> Server {
        Server::default()
    }

    /// The runtime API's Unix socket, instead of `EXECGATE_RUNTIME_SOCKET`.
    pub fn socket(mut self, path: impl Into<String>) -> Server {
        self.address = Some(Address {
            socket: Some(path.into()),
            api: None,
        });
        self
    }

    /// How many events may be held at once, instead of `EXECGATE_CONCURRENCY`.
    pub fn concurrency(mut self, events: usize) -> Server {
        self.concurrency = Some(events);
        self
    }

    /// What ends this server from elsewhere.
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// Serves, as [`serve`] does but for SIGTERM.
    pub fn run(self, handler: impl Handler) -> io::Result<()> {
        let told = std::env::var("EXECGATE_CONCURRENCY")
            .ok()
            .and_then(|text| text.parse().ok());
        let max = self.concurrency.or(told).unwrap_or(1).max(1);
        let address = self.address.unwrap_or_else(Address::from_environment);
        Crew::new(address, max, &handler, self.stopper).run()
    }
}
