//! Keeps this control in the epoch: looks at it, and adds this control's part where Redis has lost it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::RwLockWriteGuard;
use tokio::time::timeout;

use super::{EPOCH, Found, MEMBERS, REBUILD, Shared, account_key, operation_key};
use crate::quota::journal::{self, Kept, Member};
use crate::quota::{Error, KEEP_SECONDS};
use crate::replay;

/// How long keys are kept that every look renews, in seconds: longer than any window.
const KEPT_SECONDS: u64 = 400 * 86_400;
/// What a member has added that has added all.
const DONE: &str = "done";
/// What a member has added that has added nothing.
const NOTHING: &str = "-";

/// Looks at the epoch again and again.
pub(super) async fn keep(shared: Arc<Shared>) {
    let mut member = None;
    loop {
        let found = shared.look(&mut member).await.unwrap_or_else(Found::Failed);
        let pause = if found == Found::Rebuilding { shared.pace.look_rebuilding } else { shared.pace.look };
        shared.found.send_replace(found);
        // Its end is as good as being asked.
        let _ = timeout(pause, shared.look.notified()).await;
    }
}

/// What the script tells.
struct Epoch {
    name: String,
    ready: bool,
    /// The second that it is.
    now: u64,
    /// What this member has added.
    added: String,
    /// All members.
    members: Vec<String>,
}

impl Epoch {
    fn parse(answer: Vec<String>) -> Option<Self> {
        let mut answer = answer.into_iter();
        let (epoch, now, added) = (answer.next()?, answer.next()?, answer.next()?);
        let mut words = epoch.split(' ');
        let ready = match words.next()? {
            "ready" => true,
            "rebuilding" => false,
            _ => return None,
        };
        let name = words.next()?.to_owned();
        Some(Self { name, ready, now: now.parse().ok()?, added, members: answer.collect() })
    }
}

impl Shared {
    async fn look(&self, known: &mut Option<Member>) -> Result<Found, Error> {
        let member = match known {
            Some(member) => member,
            None => {
                let member = journal::member(&self.store, random_name()?).await?;
                self.longest.fetch_max(member.longest, Ordering::Relaxed);
                known.insert(member)
            }
        };
        let mut epoch = self.ask(member).await?;
        let serving = self.serving.read().await.clone();
        if epoch.ready && epoch.added == DONE && serving.as_deref() == Some(&epoch.name) {
            self.meet(member, &epoch).await?;
            return Ok(Found::Ready(epoch.name));
        }
        // Nothing is under way any more, and all that was is in the journal.
        let mut serving = self.serving.write().await;
        if serving.take().is_some() {
            tracing::warn!(
                "limits: Redis has lost what was used; it is being filled again from the controls' journals"
            );
        }
        if epoch.added != DONE {
            if !self.add_all(member, &epoch).await? {
                return Ok(Found::Rebuilding);
            }
            epoch = self.ask(member).await?;
        }
        if !epoch.ready || epoch.added != DONE {
            return Ok(Found::Rebuilding);
        }
        self.meet(member, &epoch).await?;
        self.serve(&mut serving, &epoch.name);
        Ok(Found::Ready(epoch.name))
    }

    fn serve(&self, serving: &mut RwLockWriteGuard<'_, Option<String>>, name: &str) {
        tracing::info!(epoch = name, "limits are in Redis");
        **serving = Some(name.to_owned());
    }

    /// Says that this control lives, and asks which epoch it is.
    async fn ask(&self, member: &Member) -> Result<Epoch, Error> {
        let keys = [EPOCH, MEMBERS, REBUILD].map(str::to_owned);
        let longest = self.longest.load(Ordering::Relaxed);
        // Its last slot included.
        let longest = longest.saturating_add(longest / 60).saturating_add(2);
        let (least, most) = self.pace.wait_seconds;
        let mut arguments = vec![
            member.name.clone(),
            random_name()?,
            if member.fresh { "fresh" } else { "known" }.to_owned(),
            longest.max(least).min(most).to_string(),
            self.pace.forget_seconds.to_string(),
            KEPT_SECONDS.to_string(),
        ];
        arguments.extend(member.others.iter().cloned());
        let answer = self.epoch.run::<Vec<String>>(&mut self.connection.clone(), &keys, &arguments).await;
        let answer = answer.map_err(|error| self.redis_failed(replay::reason(&error)))?;
        self.redis_outage.over();
        Epoch::parse(answer).ok_or_else(|| self.redis_failed(format!("{EPOCH} holds something else")))
    }

    /// Remembers that there is an epoch, and who the others are, before anything is relayed in it.
    async fn meet(&self, member: &mut Member, epoch: &Epoch) -> Result<(), Error> {
        let mut others: Vec<String> =
            epoch.members.iter().filter(|name| **name != member.name).cloned().collect();
        others.sort_unstable();
        if member.fresh || others != member.others {
            journal::seen(&self.store, others.clone()).await?;
            (member.fresh, member.others) = (false, others);
        }
        Ok(())
    }

    /// Adds what is missing of this control's part. Whether all of it is there; else it is another epoch by now.
    async fn add_all(&self, member: &Member, epoch: &Epoch) -> Result<bool, Error> {
        let mut added = epoch.added.clone();
        while added != DONE {
            let piece = journal::piece(&self.store, bytes(&added), epoch.now).await?;
            let after = match &piece.last {
                Some(key) => digits(key),
                None => {
                    self.add_answers(epoch.now).await?;
                    DONE.to_owned()
                }
            };
            let mut keys = vec![EPOCH.to_owned(), REBUILD.to_owned()];
            let mut arguments = vec![epoch.name.clone(), member.name.clone(), added, after];
            for (key, kept) in &piece.accounts {
                keys.push(account_key(&digits(key)));
                push_arguments(&mut arguments, kept);
            }
            let answer = self.add.run::<String>(&mut self.connection.clone(), &keys, &arguments).await;
            added = answer.map_err(|error| self.redis_failed(replay::reason(&error)))?;
            if added.is_empty() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// What operations were answered lately.
    async fn add_answers(&self, now: u64) -> Result<(), Error> {
        let since = now.saturating_sub(KEEP_SECONDS);
        let mut after = String::new();
        loop {
            let answers = journal::answers(&self.store, after, since).await?;
            let Some((last, ..)) = answers.last() else { return Ok(()) };
            after = last.clone();
            let mut pipe = redis::pipe();
            for (id, at, text) in answers {
                let left = at.saturating_add(KEEP_SECONDS).saturating_sub(now).max(1);
                let set = pipe.cmd("SET").arg(operation_key(&id)).arg(text).arg("NX");
                set.arg("EX").arg(left).ignore();
            }
            let done = pipe.query_async::<()>(&mut self.connection.clone()).await;
            done.map_err(|error| self.redis_failed(replay::reason(&error)))?;
        }
    }
}

fn push_arguments(arguments: &mut Vec<String>, kept: &Kept) {
    arguments.push(kept.ends.to_string());
    arguments.push(kept.used.len().to_string());
    arguments.extend(kept.used.iter().flat_map(|(slot, tokens)| [slot.to_string(), tokens.to_string()]));
    arguments.push(kept.leases.len().to_string());
    for lease in &kept.leases {
        arguments.push(lease.worker.clone());
        arguments.extend([lease.amount, lease.renewed, lease.stamp].map(|number| number.to_string()));
    }
}

fn digits(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The key that was added last: no bytes if there is none.
fn bytes(added: &str) -> Vec<u8> {
    if added == NOTHING {
        return Vec::new();
    }
    attach_core::quota::Key::from_hex(added).map(|key| key.0.to_vec()).unwrap_or_default()
}

/// 128 random bits in digits.
fn random_name() -> Result<String, Error> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).map_err(|error| Error::Redis(format!("no random numbers: {error}")))?;
    Ok(digits(&bytes))
}
