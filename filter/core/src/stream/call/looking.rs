//! `GET /v1/quota/me`: what the caller may still use, by what the worker knows and what the limits' homes say.

use crate::policy::accounting::Accounts;
use crate::quota::book::{Answered, Need, Refreshed};
use crate::stream::over;
use crate::stream::stop::Stop;
use crate::stream::{Effect, Env, Flow, Output, Stream};

/// Somebody who asks, while control has not answered.
#[derive(Debug)]
pub(in crate::stream) struct Looking {
    accounts: Accounts,
    operation: u64,
}

impl Looking {
    pub(super) fn begin(
        env: &mut Env<'_>,
        accounts: &Accounts,
        out: &mut dyn Output,
    ) -> Result<(Stream, Flow), Stop> {
        if accounts.is_empty() {
            out.effect(Effect::Reply(over::view(&[])));
            return Ok((Stream::Replied, Flow::Pause));
        }
        let needs = needs(env, accounts);
        match env.quota.refresh(&needs, env.now, env.windows) {
            Refreshed::Now => Self::answer(env, accounts, out),
            Refreshed::Ask(operation) => {
                let looking = Self { accounts: Accounts::clone(accounts), operation: operation.id };
                out.effect(Effect::AskLedger(operation));
                Ok((Stream::Looking(looking), Flow::Pause))
            }
            Refreshed::Unavailable => Err(Stop::QuotaUnavailable),
        }
    }

    pub(in crate::stream) fn on_answer(
        self,
        env: &mut Env<'_>,
        answered: Answered,
        out: &mut dyn Output,
    ) -> Result<(Stream, Flow), Stop> {
        match answered {
            Answered::Granted(hold) => {
                env.quota.settle(hold, 0, env.now);
                Self::answer(env, &self.accounts, out)
            }
            Answered::Done => Self::answer(env, &self.accounts, out),
            Answered::Refused(_) | Answered::Unavailable => Err(Stop::QuotaUnavailable),
        }
    }

    /// The stream is over before control has answered.
    pub(in crate::stream) fn give_up(self, env: &mut Env<'_>) {
        env.quota.abandon(self.operation);
    }

    fn answer(env: &mut Env<'_>, accounts: &Accounts, out: &mut dyn Output) -> Result<(Stream, Flow), Stop> {
        let needs = needs(env, accounts);
        let views = env.quota.view(&needs, env.now);
        let views: Vec<_> = needs.iter().map(|need| need.limit).zip(views).collect();
        out.effect(Effect::Reply(over::view(&views)));
        Ok((Stream::Replied, Flow::Pause))
    }
}

/// All of an identity's accounts, whatever project or model they are about.
fn needs<'a>(env: &Env<'a>, accounts: &Accounts) -> Vec<Need<'a>> {
    let limits = env.policy.accounting.as_ref().map_or(&[][..], |accounting| &accounting.limits);
    accounts.iter().filter_map(|(at, key)| Some(Need { key: *key, limit: &limits.get(*at)?.limit })).collect()
}
