//! What the script answers: whole numbers with a space between them.

use attach_core::quota::wire::{Answer, Left, Refused};

/// Numbers before those of the first account.
const HEAD: usize = 3;
/// Numbers of an account.
const ACCOUNT: usize = 7;

/// What an operation did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// When, in microseconds of Redis's clock.
    pub stamp: u64,
    /// Which account has not enough, and when to ask again.
    pub refused: Option<Refused>,
    /// In the order of the request.
    pub accounts: Vec<Told>,
}

/// What is told of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// What was added to the lease.
    pub granted: u64,
    /// What was used in the window.
    pub used: u64,
    /// What is in open leases.
    pub held: u64,
    /// In how many seconds all that was used has left.
    pub reset: u64,
    /// The worker's lease.
    pub lease: u64,
    /// The second when the worker was heard of before, while it held a lease; else 0.
    pub since: u64,
    /// The second that it is for this account.
    pub now: u64,
}

impl Reply {
    /// Reads it; `None` if it is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let numbers: Vec<&str> = text.split(' ').collect();
        let (head, rest) = numbers.split_first_chunk::<HEAD>()?;
        let [stamp, account, wait] = head;
        let (stamp, wait) = (stamp.parse().ok()?, *wait);
        let refused = match *account {
            "-1" => None,
            account => Some(Refused {
                account: account.parse().ok()?,
                retry_after: if wait == "-1" { None } else { Some(wait.parse().ok()?) },
            }),
        };
        let (accounts, []) = rest.as_chunks::<ACCOUNT>() else { return None };
        let told = |account: &[&str; ACCOUNT]| {
            let [granted, used, held, reset, lease, since, now] = account.map(|number| number.parse().ok());
            Some(Told {
                granted: granted?,
                used: used?,
                held: held?,
                reset: reset?,
                lease: lease?,
                since: since?,
                now: now?,
            })
        };
        let accounts = accounts.iter().map(told).collect::<Option<Vec<_>>>()?;
        Some(Self { stamp, refused, accounts })
    }

    /// What the worker is answered.
    #[must_use]
    pub fn answer(&self) -> Answer {
        let left = self.accounts.iter().map(|told| Left {
            used: told.used,
            held: told.held,
            reset: told.reset,
            lease: told.lease,
        });
        let left = left.collect();
        match self.refused {
            Some(refused) => Answer::Refused { refused, left },
            None => {
                Answer::Granted { granted: self.accounts.iter().map(|told| told.granted).collect(), left }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_reply_is_read_number_by_number() {
        let reply = Reply::parse("1700000000000001 -1 0 62 12 62 61 70 1699999999 1700000000").unwrap();
        assert_eq!(reply.stamp, 1_700_000_000_000_001);
        let left = Left { used: 12, held: 62, reset: 61, lease: 70 };
        assert_eq!(reply.answer(), Answer::Granted { granted: vec![62], left: vec![left] });
        assert_eq!(reply.accounts[0].since, 1_699_999_999);

        for (wait, retry_after) in [("17", Some(17)), ("-1", None)] {
            let reply = Reply::parse(&format!("1 0 {wait} 0 1 2 3 4 5 6")).unwrap();
            assert_eq!(reply.refused, Some(Refused { account: 0, retry_after }));
        }
    }

    #[test]
    fn what_is_no_reply_is_refused() {
        for bad in
            ["", "1", "1 -1", "1 -2 0", "1 -1 0 1", "1 0 -2 0 1 2 3 4 5 6", "a -1 0", "1 -1 0 ", "1.5 -1 0"]
        {
            assert_eq!(Reply::parse(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn hostile_text_is_refused_without_a_panic(text in "[0-9 -]{0,60}") {
            let _ = Reply::parse(&text);
        }
    }
}
