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
        if let Some(worker) = &self.worker {
            worker.answered(callout, body_size);
        }
    }

    fn on_done(&mut self) -> bool {
        if let Ok(mut machine) = self.machine.try_borrow_mut() {
            machine.close();
        }
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

    fn on_http_response_headers(&mut self, _: usize, _: bool) -> Action {
        match &self.worker {
            Some(worker) => worker.drive(self.context, &self.machine, Input::ResponseHeaders),
            None => Action::Continue,
        }
    }
}
