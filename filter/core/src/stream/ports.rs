//! What goes into a stream's machine, and what comes out of it.

use std::rc::Rc;

use crate::headers::Pairs;
use crate::keys::discovery::Target;
use crate::meter::UsageRecord;
use crate::mirror::Object;
use crate::mirror::pool::Share;
use crate::outbox::Room;
use crate::quota::book::Operation;
use crate::reply::LocalReply;

/// What happens to a stream.
#[derive(Clone, Copy)]
pub enum Input<'a> {
    /// The request's headers are there; whether they are all of it.
    RequestHeaders(&'a Pairs, bool),
    /// More of the request's body is there: how much the host has kept of it, and whether that is all.
    RequestBody(usize, bool),
    /// The request's trailers are there.
    RequestTrailers(&'a Pairs),
    /// A while has passed, and the keys may have changed.
    Tick,
    /// What was asked has been answered; `None`: it has not, and will not be.
    Answer(Option<Answer<'a>>),
    /// The response's headers are there, and whether they are all of it. They are only looked at where
    /// [`Machine::reads_response`](super::Machine::reads_response) says so.
    ResponseHeaders(&'a Pairs, bool),
    /// More of the response's body is there, and whether that is all.
    ResponseBody(&'a [u8], bool),
    /// The response's trailers are there: its body is whole, and no other sign says so.
    ResponseTrailers,
}

/// An answer to a [`Effect::Ask`].
#[derive(Clone, Copy)]
pub struct Answer<'a> {
    /// The HTTP status code.
    pub status: u16,
    /// The body; empty where it is larger than what was said to be read.
    pub body: &'a [u8],
}

/// What the host is to do.
pub enum Effect<'a> {
    /// Set a request header, in place of all of its name.
    SetRequestHeader(&'a str, &'a [u8]),
    /// Remove a request header.
    RemoveRequestHeader(&'a str),
    /// Remove a request trailer.
    RemoveRequestTrailer(&'a str),
    /// Put another body into the request, in place of all of it, so many bytes, that the host has kept.
    ReplaceRequestBody(usize, Vec<u8>),
    /// Set a response header, in place of all of its name.
    SetResponseHeader(&'static str, &'a [u8]),
    /// Remove a response header.
    RemoveResponseHeader(&'static str),
    /// Put other bytes in place of those of the response's body, so many, that are passing.
    ReplaceResponseBody(usize, Vec<u8>),
    /// Break the stream off.
    ResetStream,
    /// Ask control about limits; [`Machine::ledger_answered`](super::Machine::ledger_answered) follows.
    AskLedger(Operation),
    /// Count a call that goes on although nobody could be asked about its limits.
    CountUnlimited,
    /// Count a request that was let in.
    CountAllowed,
    /// Count a request that was refused, by the reason.
    CountDenied(&'static str),
    /// The engine does not know how to say what a stream has cost.
    RefusedStreamOptions,
    /// A call is over.
    Finished(Box<Finished>),
    /// Tell memory; where it [waits](Remembered::waits), [`Machine::remembered`](super::Machine::remembered) follows.
    Remember(Box<Remembered>),
    /// Go on with a paused response.
    ResumeResponse,
    /// Ask somebody; [`Input::Answer`] follows.
    Ask(Question),
    /// Count a request that would have been refused, by the reason.
    CountWouldDeny(&'static str),
    /// Answer the request.
    Reply(Rc<LocalReply>),
    /// Go on with a paused request.
    Resume,
}

impl core::fmt::Debug for Effect<'_> {
    /// Values are keys, tokens and statements: names alone are shown.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::SetRequestHeader(name, _) => write!(f, "SetRequestHeader({name})"),
            Self::RemoveRequestHeader(name) => write!(f, "RemoveRequestHeader({name})"),
            Self::RemoveRequestTrailer(name) => write!(f, "RemoveRequestTrailer({name})"),
            Self::SetResponseHeader(name, _) => write!(f, "SetResponseHeader({name})"),
            Self::RemoveResponseHeader(name) => write!(f, "RemoveResponseHeader({name})"),
            Self::ReplaceRequestBody(_, body) => write!(f, "ReplaceRequestBody({} bytes)", body.len()),
            Self::ReplaceResponseBody(_, body) => write!(f, "ReplaceResponseBody({} bytes)", body.len()),
            Self::ResetStream => f.write_str("ResetStream"),
            Self::AskLedger(_) => f.write_str("AskLedger"),
            Self::CountUnlimited => f.write_str("CountUnlimited"),
            Self::CountAllowed => f.write_str("CountAllowed"),
            Self::CountDenied(reason) => write!(f, "CountDenied({reason})"),
            Self::RefusedStreamOptions => f.write_str("RefusedStreamOptions"),
            Self::Finished(finished) => {
                write!(f, "Finished({} + {})", finished.record.input, finished.record.output)
            }
            Self::Remember(remembered) => {
                write!(f, "Remember({}, waits: {})", remembered.objects.len(), remembered.waits)
            }
            Self::ResumeResponse => f.write_str("ResumeResponse"),
            Self::Ask(question) => write!(f, "Ask({question:?})"),
            Self::CountWouldDeny(reason) => write!(f, "CountWouldDeny({reason})"),
            Self::Reply(reply) => write!(f, "Reply({})", reply.status),
            Self::Resume => f.write_str("Resume"),
        }
    }
}

/// What is left to say of a call that is over.
#[derive(Debug)]
pub struct Finished {
    /// What is remembered; where its id is empty, it is for the worker to give.
    pub record: UsageRecord,
    /// The room that was promised for it.
    pub room: Option<Room>,
    /// What was counted and what was reported, where both are known.
    pub drift: Option<(u64, u64)>,
    /// Of a stream, milliseconds from the request to the answer's first text.
    pub first_text: Option<u64>,
    /// Whether the answer was ended where the budget did.
    pub was_cut: bool,
}

/// What is to be remembered of a call.
#[derive(Debug)]
pub struct Remembered {
    /// The prompt, then the answer, each if there is one.
    pub objects: Vec<Object>,
    /// The memory that their texts take up.
    pub share: Share,
    /// Whether the answer's last byte is held back until they have arrived.
    pub waits: bool,
}

/// A callout.
#[derive(Clone, PartialEq, Eq)]
pub struct Question {
    /// Whom to ask.
    pub target: Target,
    /// The body's type.
    pub content_type: &'static str,
    /// Whether control's secret goes along.
    pub with_secret: bool,
    /// What to say.
    pub body: Vec<u8>,
    /// How long to wait.
    pub timeout: core::time::Duration,
}

impl core::fmt::Debug for Question {
    /// The body holds a token and a client's secret.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Question").field("target", &self.target).finish_non_exhaustive()
    }
}

/// Who carries effects out.
pub trait Output {
    /// Carries one out, or keeps it until the callback returns.
    fn effect(&mut self, effect: Effect<'_>);
}

/// Whether the host goes on with the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// It does.
    Continue,
    /// It waits, for a resume or a reply.
    Pause,
}
