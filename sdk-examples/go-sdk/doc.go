// Package execgate lets a Go program be a handler of execgate.
//
//	func main() {
//		err := execgate.Handle(func(ctx context.Context, req *execgate.Request) (*execgate.Response, error) {
//			return execgate.Text(200, "Hello, "+req.Query().Get("name")+"!\n"), nil
//		})
//		if err != nil {
//			log.Fatal(err)
//		}
//	}
//
// Programs that have a [net/http.Handler] hand it to [ServeHTTP] as it is.
//
// execgate starts the program and tells it in EXECGATE_RUNTIME_SOCKET where to take events. Each event is an HTTP
// request, each answer an HTTP response, and an exchange carries answers there and brings events back, up to
// EXECGATE_CONCURRENCY of them (`processes: {concurrency: N}` in the blueprint). Every event has a goroutine of its own.
//
// The context of an event ends at its deadline, when nobody waits for the answer any more, and when the handler
// returns. A handler that returns an error or panics fails that one event: the client gets 502, the log the error, or
// the panic with its stack; the process goes on.
//
// Messages of queues come several to an event: [EachMessage], [Request.Messages]. [Send] and [SendWithAnswer] put
// messages into queues.
//
// [Connection] and [Group] send to WebSocket clients, from any handler.
//
// [Handle], [ServeHTTP] and [Serve] return nil once the gateway wants no more of this process, or SIGTERM came, and
// everything that was held is answered.
//
// Tests of handlers are in the package execgatetest.
package execgate
