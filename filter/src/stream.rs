//! One request's callbacks, translated.

use std::rc::Rc;

use attach_core::reply::LocalReply;
use attach_core::stream::Input;
use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;

use crate::host;
use crate::worker::{SharedMachine, Worker};

/// A request.
pub(crate) struct Stream {
    context: u32,
    /// `None` before the first configuration was accepted: then nobody gets in.
    worker: Option<Rc<Worker>>,
    machine: SharedMachine,
}

impl Stream {
    pub(crate) fn new(context: u32, worker: Option<Rc<Worker>>) -> Self {
        Self { context, worker, machine: SharedMachine::default() }
    }

    fn reads_response(&self) -> bool {
        self.machine.try_borrow().is_ok_and(|machine| machine.reads_response())
    }

    fn close(&self) {
        if let Some(worker) = &self.worker {
            worker.close(self.context, &self.machine);
        }
    }

    fn drive(&self, input: Input<'_>) -> Action {
        match &self.worker {
            Some(worker) => worker.drive(self.context, &self.machine, input),
            None => {
                host::reply(&LocalReply::detail(503, "The gateway is not configured"));
                Action::Pause
            }
        }
    }
}

impl Context for Stream {
    fn on_http_call_response(&mut self, callout: u32, _: usize, body_size: usize, _: usize) {
        if let Some(worker) = &self.worker
            && !worker.ledger_answered(callout, body_size)
        {
            worker.answered(callout, body_size);
        }
    }

    fn on_done(&mut self) -> bool {
        self.close();
        true
    }
}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, _: usize, end_of_stream: bool) -> Action {
        self.drive(Input::RequestHeaders(&host::request_headers(), end_of_stream))
    }

    fn on_http_request_body(&mut self, size: usize, end_of_stream: bool) -> Action {
        self.drive(Input::RequestBody(size, end_of_stream))
    }

    fn on_http_request_trailers(&mut self, _: usize) -> Action {
        self.drive(Input::RequestTrailers(&host::request_trailers()))
    }

    fn on_http_response_headers(&mut self, _: usize, end_of_stream: bool) -> Action {
        let Some(worker) = &self.worker else { return Action::Continue };
        // What returns data costs, so only calls pay for it.
        let headers = if self.reads_response() { host::response_headers() } else { Vec::new() };
        worker.drive(self.context, &self.machine, Input::ResponseHeaders(&headers, end_of_stream))
    }

    fn on_http_response_body(&mut self, size: usize, end_of_stream: bool) -> Action {
        match &self.worker {
            Some(worker) if self.reads_response() => {
                let chunk = if size > 0 { host::response_body(size) } else { Vec::new() };
                worker.drive(self.context, &self.machine, Input::ResponseBody(&chunk, end_of_stream))
            }
            _ => Action::Continue,
        }
    }

    fn on_http_response_trailers(&mut self, _: usize) -> Action {
        match &self.worker {
            Some(worker) if self.reads_response() => {
                worker.drive(self.context, &self.machine, Input::ResponseTrailers)
            }
            _ => Action::Continue,
        }
    }

    /// Before the access log is written, which may print what a call has cost.
    fn on_log(&mut self) {
        self.close();
    }
}
