//! What a home does with what a worker asks about several accounts: takes all reports, then grants all or
//! nothing. Whoever keeps the entries applies this to them in one transaction.

use super::entry::{Entry, Wish};
use super::wire::{Account, Answer, Left, Refused};

/// Takes a worker's reports about accounts, and grants what it needs of them, or nothing. `entries` are the
/// accounts' entries in their order ([`Entry::default`] where there is none yet); they are to be stored
/// whatever the answer. `worker` is [`worker_number`](super::wire::worker_number), `now` in seconds.
pub fn apply(entries: &mut [Entry], accounts: &[Account], worker: u64, now: u64) -> Answer {
    for (entry, account) in entries.iter_mut().zip(accounts) {
        entry.report(worker, &account.spent, account.give_back, account.window, now);
    }
    let mut refused: Option<Refused> = None;
    for (place, (entry, account)) in entries.iter().zip(accounts).enumerate() {
        if let Err(short) = entry.check(worker, wish(account), account.window, now)
            && refused.is_none_or(|refused| is_longer(short.retry_after, refused.retry_after))
        {
            refused = Some(Refused { account: place, retry_after: short.retry_after });
        }
    }
    if let Some(refused) = refused {
        return Answer::Refused { refused, left: left(entries, accounts, worker, now) };
    }
    let mut granted = Vec::with_capacity(accounts.len());
    for (entry, account) in entries.iter_mut().zip(accounts) {
        // It was found to be possible, and nothing has happened since.
        granted.push(entry.grant(worker, wish(account), account.window, now).unwrap_or(0));
    }
    Answer::Granted { granted, left: left(entries, accounts, worker, now) }
}

/// How an account stands, for a worker.
#[must_use]
pub fn left_of(entry: &Entry, account: &Account, worker: u64, now: u64) -> Left {
    Left {
        used: entry.used(account.window, now),
        held: entry.held(now),
        reset: entry.reset(account.window, now),
        lease: entry.lease(worker),
    }
}

fn left(entries: &[Entry], accounts: &[Account], worker: u64, now: u64) -> Vec<Left> {
    entries.iter().zip(accounts).map(|(entry, account)| left_of(entry, account, worker, now)).collect()
}

fn wish(account: &Account) -> Wish {
    Wish { need: account.need, want: account.want, limit: account.tokens }
}

/// Whether one wait is longer than the other; the longest is for ever.
fn is_longer(one: Option<u64>, other: Option<u64>) -> bool {
    one.unwrap_or(u64::MAX) > other.unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quota::{Key, Window};

    const NOW: u64 = 1_700_000_000;

    fn account(tokens: u64, need: u64) -> Account {
        Account {
            key: Key([0; 16]),
            tokens,
            window: Window::Sliding(60),
            spent: Vec::new(),
            give_back: 0,
            need,
            want: need,
        }
    }

    #[test]
    fn several_accounts_get_all_or_nothing() {
        let mut entries = [Entry::default(), Entry::default()];
        let answer = apply(&mut entries, &[account(1000, 100), account(50, 100)], 1, NOW);
        let refused = Refused { account: 1, retry_after: None };
        assert!(matches!(answer, Answer::Refused { refused: r, .. } if r == refused), "{answer:?}");
        assert!(entries.iter().all(|entry| entry.held(NOW) == 0));

        let answer = apply(&mut entries, &[account(1000, 50), account(50, 50)], 1, NOW);
        assert!(matches!(&answer, Answer::Granted { granted, .. } if *granted == [50, 50]), "{answer:?}");
        assert_eq!(answer.left()[1], Left { used: 0, held: 50, reset: 0, lease: 50 });
    }

    #[test]
    fn reports_are_taken_even_where_the_grant_is_refused() {
        let mut entries = [Entry::default()];
        apply(&mut entries, &[account(100, 100)], 1, NOW);
        let report = Account { spent: vec![(NOW, 60)], give_back: 10, ..account(100, 50) };
        let answer = apply(&mut entries, &[report], 1, NOW);
        assert!(matches!(answer, Answer::Refused { .. }));
        assert_eq!(answer.left()[0], Left { used: 60, held: 30, reset: 61, lease: 30 });
    }

    #[test]
    fn the_longest_wait_is_the_one_that_is_told() {
        let mut entries = [Entry::default(), Entry::default()];
        entries[0].record(NOW - 50, 100, Window::Sliding(60), NOW);
        entries[1].record(NOW - 10, 100, Window::Sliding(60), NOW);
        let answer = apply(&mut entries, &[account(100, 10), account(100, 10)], 1, NOW);
        let expected = Refused { account: 1, retry_after: Some(51) };
        assert!(matches!(answer, Answer::Refused { refused, .. } if refused == expected), "{answer:?}");
    }

    #[test]
    fn a_report_alone_asks_for_nothing_and_renews() {
        let mut entries = [Entry::default()];
        apply(&mut entries, &[account(100, 40)], 1, NOW);
        for _ in 0..3 {
            let answer = apply(&mut entries, &[account(100, 0)], 1, NOW + 50);
            assert!(matches!(&answer, Answer::Granted { granted, .. } if *granted == [0]));
        }
        assert_eq!(entries[0].held(NOW + 109), 40);
        assert_eq!(entries[0].held(NOW + 110), 0);
        assert_eq!(entries[0].used(Window::Sliding(60), NOW + 110), 40, "nobody knows better");
    }

    #[test]
    fn a_report_is_never_refused_however_much_is_used() {
        let mut entries = [Entry::default(), Entry::default()];
        entries[0].record(NOW, 500, Window::Sliding(60), NOW);
        let answer = apply(&mut entries, &[account(100, 0), account(100, 10)], 1, NOW);
        assert!(matches!(&answer, Answer::Granted { granted, .. } if *granted == [0, 10]), "{answer:?}");
    }
}
