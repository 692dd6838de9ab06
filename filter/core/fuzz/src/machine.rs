//! A worker, the streams on it, and what must hold whatever happens to them: the rules in `stream.rs`.

mod worker;

use std::time::Duration;

use attach_core::clock::UnixMillis;
use attach_core::headers::is_attach;
use attach_core::policy::route::Access;
use attach_core::stamp;
use attach_core::stream::{Answer, Flow, Input, Machine};

use super::script::{self, Pairs, Step};
use super::world::{self, BODY};
use worker::{Done, Worker};

/// The most that is kept of a body.
const MAX_KEPT: usize = 1024 * 1024;
/// The longest that a request may wait for keys.
const KEYS_DEADLINE: Duration = Duration::from_secs(2);
/// The longest that a request may wait for its body.
const BODY_DEADLINE: Duration = Duration::from_secs(30);

/// Does what a script says, and checks every rule at every step. What became of each stream: the user it was
/// forwarded as, `nobody`, the status it was answered with, or `-`.
///
/// # Errors
/// Which rule was broken.
pub fn run(text: &str) -> Result<Vec<String>, String> {
    let (words, steps) = script::read(text);
    let mut worker = Worker::new(&words);
    let mut stream = Seen::default();
    let mut machine = Machine::default();
    let mut became = Vec::new();
    for (number, step) in steps.into_iter().enumerate() {
        match &step {
            Step::Next => {
                stream.is_over(&mut worker, &mut machine)?;
                machine = Machine::default();
                became.push(core::mem::take(&mut stream).became());
                continue;
            }
            Step::Close => {
                stream.close(&mut worker, &mut machine)?;
                continue;
            }
            Step::Later(millis) => {
                worker.now = worker.now.after(Duration::from_millis(*millis));
                worker.look_after_limits();
                continue;
            }
            Step::Keys(source) => {
                worker.keys_arrive(*source);
                continue;
            }
            Step::Fails(source) => {
                worker.fetch_fails(*source);
                continue;
            }
            _ => {}
        }
        stream.step(&mut worker, &mut machine, &step).map_err(|rule| format!("{rule}, at step {number}"))?;
    }
    stream.is_over(&mut worker, &mut machine)?;
    worker.is_given_back()?;
    became.push(stream.became());
    Ok(became)
}

/// What has been seen of a stream.
#[derive(Default)]
struct Seen {
    pairs: Pairs,
    body: Vec<u8>,
    size: usize,
    started: bool,
    ended: bool,
    paused: bool,
    closed: bool,
    replied: bool,
    status: u16,
    resumed: bool,
    forwarded: bool,
    counted: bool,
    user: Option<String>,
    asked_once: usize,
    granted: usize,
    finished: usize,
    remembered: usize,
    waits_since: Option<UnixMillis>,
    body_since: Option<UnixMillis>,
}

impl Seen {
    fn close(&mut self, worker: &mut Worker, machine: &mut Machine) -> Result<(), String> {
        let done = worker.close(machine);
        let finished = done.iter().filter(|done| matches!(done, Done::Finished(_))).count();
        self.finished += finished;
        self.remembered += done.iter().filter(|done| matches!(done, Done::Remembered)).count();
        self.closed = true;
        let may_be = |done: &Done| matches!(done, Done::Finished(_) | Done::Remembered | Done::Other);
        rule(done.len() == finished || done.iter().all(may_be), || {
            format!("a stream that closes does {done:?}")
        })
    }

    /// What must be when it is: one record at most, of a call that has gone; nothing held for it.
    fn is_over(&mut self, worker: &mut Worker, machine: &mut Machine) -> Result<(), String> {
        self.close(worker, machine)?;
        rule(self.finished <= 1, || format!("{} records of one call", self.finished))?;
        rule(self.finished == 0 || self.forwarded, || "a record of what never went".to_owned())?;
        rule(self.remembered <= self.finished, || "remembered twice, or what was no call".to_owned())?;
        worker.is_quiet(machine)
    }

    fn step(&mut self, worker: &mut Worker, machine: &mut Machine, step: &Step) -> Result<(), String> {
        let was_asking = machine.is_asking();
        let was_over = self.closed || self.replied;
        let is_first = !self.started && matches!(step, Step::Headers(..));
        let (flow, effects) = match step {
            Step::Ledger(arrives) => worker.ledger(machine, &self.body, *arrives),
            Step::Remembered(kept) => worker.remembered(machine, *kept),
            step => self.hand_over(worker, machine, step),
        };
        self.finished += effects.iter().filter(|done| matches!(done, Done::Finished(_))).count();
        self.remembered += effects.iter().filter(|done| matches!(done, Done::Remembered)).count();
        let is_request =
            matches!(step, Step::Headers(..) | Step::Body(..) | Step::Large(_) | Step::Trailers(_));

        if let Step::Answer(Some((200, text))) = step
            && was_asking
            && text.contains("\"fresh\":true")
        {
            self.granted += 1;
        }
        self.once(&effects)?;
        rule(!was_over || effects.is_empty(), || format!("a stream that is over does {effects:?}"))?;
        let replies = effects.iter().filter(|done| matches!(done, Done::Replied(_))).count();
        rule(replies <= 1 && !(self.replied && replies > 0), || "two replies".to_owned())?;
        rule(replies == 0 || flow == Flow::Pause, || "a reply and no pause".to_owned())?;
        self.replied |= replies > 0;
        for done in &effects {
            self.look_at(done, worker)?;
        }
        if let Step::Headers(pairs, _) = step
            && is_first
            && !was_over
        {
            let own = pairs.iter().map(|(name, _)| name).filter(|name| is_attach(name));
            for name in own {
                let removed = effects.iter().any(|done| matches!(done, Done::Removed(have) if have == name));
                rule(removed, || format!("{name} is left on the request"))?;
            }
        }

        let goes_on = (is_request && flow == Flow::Continue) || effects.contains(&Done::Resumed);
        if goes_on && !self.forwarded && self.started {
            self.forwarded = true;
            self.may_be_forwarded(worker)?;
        }
        if is_request {
            self.paused = flow == Flow::Pause;
        }
        if matches!(step, Step::Response | Step::Status(..)) && !self.forwarded {
            // Somebody in front of the filter has answered.
            self.closed = true;
        }
        self.waits(worker, machine, step)?;
        let shown = format!("{machine:?}");
        // A name is no secret; the end of a token is.
        let tokens = world::credentials().iter().filter(|(name, _)| *name != "did-name");
        let hidden = tokens.filter_map(|(_, text)| text.get(text.len().checked_sub(30)?..));
        let secrets = [world::CONTROL_SECRET, world::SERVICE_SECRET, world::SAID];
        for secret in hidden.chain(secrets) {
            rule(!shown.contains(secret), || "a state shows a secret".to_owned())?;
        }
        Ok(())
    }

    fn hand_over(&mut self, worker: &mut Worker, machine: &mut Machine, step: &Step) -> (Flow, Vec<Done>) {
        let body = |more: &str, end: bool, seen: &mut Self| {
            seen.body.extend_from_slice(more.as_bytes());
            seen.size += more.len();
            seen.ended |= end;
            Input::RequestBody(seen.size, end)
        };
        let answer: Pairs = match step {
            Step::Status(status, kind, _) => vec![
                (":status".to_owned(), status.to_string().into_bytes()),
                ("content-type".to_owned(), kind.clone().into_bytes()),
            ],
            _ => Vec::new(),
        };
        let input = match step {
            Step::Status(_, _, end) => Input::ResponseHeaders(&answer, *end),
            Step::Chunk(text, end) => Input::ResponseBody(text.as_bytes(), *end),
            Step::Headers(pairs, end) => {
                if !self.started {
                    self.pairs.clone_from(pairs);
                    self.ended = *end;
                }
                self.started = true;
                Input::RequestHeaders(pairs, *end)
            }
            Step::Body(more, end) => body(more, *end, self),
            Step::Large(size) => {
                self.size += size;
                Input::RequestBody(self.size, false)
            }
            Step::Trailers(pairs) => {
                self.ended = true;
                Input::RequestTrailers(pairs)
            }
            Step::Tick => Input::Tick,
            Step::Answer(None) => Input::Answer(None),
            Step::Answer(Some((status, text))) => {
                Input::Answer(Some(Answer { status: *status, body: text.as_bytes() }))
            }
            _ => Input::ResponseHeaders(&[], true),
        };
        worker.step(machine, &self.body, input)
    }

    /// What is asked of the host.
    fn once(&mut self, effects: &[Done]) -> Result<(), String> {
        for done in effects {
            if let Done::Asked { is_once, timeout } = done {
                self.asked_once += usize::from(*is_once);
                let fair = Duration::from_millis(1)..=Duration::from_secs(10);
                rule(fair.contains(timeout), || format!("a callout that may take {timeout:?}"))?;
            }
            if *done == Done::Resumed {
                rule(self.paused, || "a resume without a pause".to_owned())?;
                rule(!self.resumed, || "two resumes".to_owned())?;
                self.resumed = true;
            }
        }
        let asked = effects.iter().filter(|done| matches!(done, Done::Asked { .. })).count();
        rule(asked <= 1, || "two questions at once".to_owned())
    }

    fn look_at(&mut self, done: &Done, worker: &Worker) -> Result<(), String> {
        match done {
            Done::Set(name, value) => {
                let clean = value.iter().all(|byte| matches!(byte, 0x20..=0x7e));
                rule(clean, || format!("{name} is set to what no header holds"))?;
                let text = String::from_utf8_lossy(value).into_owned();
                if name == stamp::USER {
                    rule(world::is_known(&text), || format!("{text} is nobody"))?;
                    // Of what is refused the log says whose it was; it goes nowhere.
                    if !self.replied {
                        self.user = Some(text);
                    }
                } else if name == stamp::AGENT {
                    rule(world::is_known(&text), || format!("{text} is nobody's agent"))?;
                } else if name == stamp::CONTROL_SECRET {
                    let path = self.path();
                    let own = [
                        "/auth",
                        "/mem",
                        "/v1/",
                        "/a2a",
                        "/tasks",
                        "/agents",
                        "/.well-known",
                        "/demo",
                        "/metrics",
                        "/openapi",
                    ];
                    rule(own.iter().any(|start| path.starts_with(start)), || {
                        format!("control's secret goes to {path}")
                    })?;
                }
            }
            Done::Counted => {
                rule(worker.rules.policy.is_shadow, || "a request is let through unseen".to_owned())?;
                self.counted = true;
            }
            Done::Answered => {
                rule(!self.replied && self.user.is_some(), || "an answer is stamped with nobody".to_owned())?
            }
            Done::Replied(status) => self.status = *status,
            Done::Removed(_)
            | Done::Asked { .. }
            | Done::Finished(_)
            | Done::Remembered
            | Done::Resumed
            | Done::Other => {}
        }
        Ok(())
    }

    fn became(self) -> String {
        match (self.forwarded, self.replied) {
            (true, _) => self.user.unwrap_or_else(|| "nobody".to_owned()),
            (false, true) => self.status.to_string(),
            (false, false) => "-".to_owned(),
        }
    }

    fn path(&self) -> String {
        let path = self.pairs.iter().rev().find(|(name, _)| name == ":path");
        path.map_or_else(String::new, |(_, value)| String::from_utf8_lossy(value).into_owned())
    }

    /// Who may go on to an upstream.
    fn may_be_forwarded(&self, worker: &mut Worker) -> Result<(), String> {
        let public = {
            let method = self
                .pairs
                .iter()
                .rev()
                .find(|(name, _)| name == ":method")
                .map(|(_, value)| value.as_slice());
            let path = self.path();
            let path = path.split(['?', '#']).next().unwrap_or_default().to_owned();
            worker.rules.policy.route(method.unwrap_or_default(), &path).access == Access::Public
        };
        rule(self.user.is_some() || public || self.counted, || "nobody is let through".to_owned())?;
        rule(!(self.user.is_some() && self.counted), || "somebody is counted as refused".to_owned())?;
        rule(!self.replied && !self.closed, || "what was refused goes on".to_owned())?;
        if self.user.is_none() {
            return Ok(());
        }
        let credential: Vec<_> = self.pairs.iter().filter(|(name, _)| name == "authorization").collect();
        rule(credential.len() <= 1, || "two credentials".to_owned())?;
        for (name, value) in &self.pairs {
            let end = match name.as_str() {
                "authorization" => world::refused_from(&String::from_utf8_lossy(value)),
                "signature" => world::SIGNATURE_REFUSED_FROM,
                _ => continue,
            };
            rule(worker.now.seconds() < end, || {
                format!("what ended at {end} is good at {}", worker.now.seconds())
            })?;
        }
        if self.user.as_deref() == Some("key:orchestrator")
            && let Some((_, token)) = credential.first()
            && !worker.rules.policy.schemes.rotagent.as_ref().is_some_and(|rules| rules.development)
        {
            let empty = token.ends_with(credential_named("rotagent-empty").as_bytes());
            let signed = if empty { "" } else { BODY };
            rule(self.ended || self.size == 0, || "a signed body goes on before its end".to_owned())?;
            rule(self.body == signed.as_bytes(), || "a body goes on that nobody signed".to_owned())?;
            if worker.rules.policy.control_remembers {
                rule(self.granted >= 1, || "control was not asked, or said no".to_owned())?;
            } else {
                let token = token.trim_ascii().to_vec();
                rule(!worker.let_through.contains(&token), || "the same token a second time".to_owned())?;
                worker.let_through.push(token);
            }
        }
        Ok(())
    }

    /// Every pause has an end.
    fn waits(&mut self, worker: &Worker, machine: &Machine, step: &Step) -> Result<(), String> {
        if self.closed || self.replied {
            return rule(!machine.is_waiting() && !machine.is_asking(), || {
                "a stream that is over waits".to_owned()
            });
        }
        // An answer may wait as well, for memory: no longer than its time.
        if machine.is_waiting() && !machine.awaits_body() && !self.forwarded {
            let since = *self.waits_since.get_or_insert(worker.now);
            let late = worker.now >= since.after(KEYS_DEADLINE) && matches!(step, Step::Tick);
            rule(!late, || "keys are waited for past the deadline".to_owned())?;
        }
        if machine.awaits_body() {
            let since = *self.body_since.get_or_insert(worker.now);
            let late = worker.now >= since.after(BODY_DEADLINE) && matches!(step, Step::Tick);
            rule(!late, || "a body is waited for past the deadline".to_owned())?;
        }
        if self.paused && !self.resumed {
            let for_body = !self.ended && self.size <= MAX_KEPT;
            let asks = machine.is_asking() || machine.is_reserving();
            rule(machine.is_waiting() || asks || for_body || self.forwarded, || {
                "a pause without an end".to_owned()
            })?;
        }
        let keeps = machine.is_waiting() || machine.is_asking();
        rule(!keeps || self.size <= MAX_KEPT, || format!("{} bytes are kept", self.size))
    }
}

fn credential_named(name: &str) -> &'static str {
    let found = world::credentials().iter().find(|(have, _)| *have == name);
    found.map_or("", |(_, text)| text)
}

fn rule(holds: bool, broken: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(broken()) }
}
