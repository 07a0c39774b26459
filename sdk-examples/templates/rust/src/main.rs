use execgate::{Context, Error, Request, Response};

/// Called by several threads at once. The context knows the deadline, and whether anybody still waits.
fn handle(request: Request, _context: Context) -> Result<Response, Error> {
    Ok(match request.parameter("name") {
        Some(name) => Response::text(200, format!("Hello, {}!\n", name)),
        None => Response::text(200, "This is @NAME@. Try /hello/you\n"),
    })
}

fn main() -> std::io::Result<()> {
    execgate::serve(handle)
}

#[cfg(test)]
mod tests {
    use super::*;
    use execgate::testing::{call, Event};

    #[test]
    fn hello() {
        let event = Event::get("/hello/you").parameter("name", "you");
        let answer = call(&handle, event).unwrap();
        assert_eq!((answer.status, answer.text().as_ref()), (200, "Hello, you!\n"));
    }
}
