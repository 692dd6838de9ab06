//! The script is what [`attach_core::quota`] is, at any time and after anything.

use attach_core::quota::entry::Entry;
use attach_core::quota::home;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::*;
use crate::quota::tests::NOW;

/// How many accounts there are.
const ACCOUNTS: usize = 3;

#[derive(Clone, Debug)]
struct Step {
    /// The clock's step, in seconds.
    clock: i64,
    worker: u8,
    accounts: Vec<Asked>,
}

#[derive(Clone, Debug)]
struct Asked {
    which: usize,
    /// Seconds before (or after) the time it is, and tokens.
    spent: Vec<(i64, u64)>,
    give_back: u64,
    need: u64,
    more: u64,
    /// The operator has changed the limit.
    changed: Option<(u64, Window)>,
}

fn window() -> impl Strategy<Value = Window> {
    prop_oneof![
        4 => prop::sample::select(vec![1_u32, 7, 59, 60, 61, 90, 600, 3600, 86_400, Window::MAX_SLIDING])
            .prop_map(Window::Sliding),
        1 => Just(Window::Day),
        1 => Just(Window::Month),
    ]
}

fn limit() -> impl Strategy<Value = u64> {
    prop_oneof![1..2000_u64, Just(1 << 40)]
}

fn asked() -> impl Strategy<Value = Asked> {
    let spent = prop::collection::vec((-200..20_i64, 0..120_u64), 0..4);
    let change = prop::option::weighted(0.03, (limit(), window()));
    let give_back = prop_oneof![3 => Just(0), 1 => 0..300_u64];
    let need = prop_oneof![1 => Just(0), 3 => 0..300_u64, 1 => 0..2500_u64];
    (0..ACCOUNTS, spent, give_back, need, 0..300_u64, change).prop_map(
        |(which, spent, give_back, need, more, changed)| Asked {
            which,
            spent,
            give_back,
            need,
            more,
            changed,
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    let clock = prop_oneof![
        6 => 0..10_i64,
        2 => 50..70_i64,
        1 => -5..0_i64,
        1 => prop::sample::select(vec![-61_i64, -60, -59, -86_400, 3600, 86_400, 31 * 86_400]),
    ];
    (clock, 0..5_u8, prop::collection::vec(asked(), 1..=ACCOUNTS))
        .prop_map(|(clock, worker, accounts)| Step { clock, worker, accounts })
}

fn shifted(now: u64, by: i64) -> u64 {
    now.saturating_add_signed(by)
}

#[test]
fn the_script_answers_what_the_entries_answer() {
    let Some(redis) = Redis::start("fleet-same", &[]) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let connection = runtime.block_on(raw(&redis));
    let strategy = (
        prop::collection::vec((limit(), window()), ACCOUNTS),
        prop::collection::vec(step(), 1..40),
        0..86_400_u64,
    );
    let mut runner = TestRunner::new(ProptestConfig {
        cases: 400,
        failure_persistence: None,
        max_shrink_iters: 2000,
        ..ProptestConfig::default()
    });
    let done = runner.run(&strategy, |(mut limits, steps, start)| {
        runtime.block_on(async {
            let mut both = Both::new(connection.clone()).await;
            let mut now = NOW + start;
            for (number, step) in steps.into_iter().enumerate() {
                now = shifted(now, step.clock);
                let mut accounts: Vec<Account> = Vec::new();
                for asked in step.accounts {
                    if accounts.iter().any(|account| which(account) == asked.which) {
                        continue;
                    }
                    let limit = &mut limits[asked.which];
                    *limit = asked.changed.unwrap_or(*limit);
                    accounts.push(Account {
                        key: Key([u8::try_from(asked.which).unwrap(); 16]),
                        tokens: limit.0,
                        window: limit.1,
                        spent: asked.spent.iter().map(|(by, tokens)| (shifted(now, *by), *tokens)).collect(),
                        give_back: asked.give_back,
                        need: asked.need,
                        want: asked.need + asked.more,
                    });
                }
                let request = request(&format!("{number}"), &format!("w-{}", step.worker), accounts);
                let (answer, expected) = both.operate(&request, now).await;
                prop_assert_eq!(answer, expected, "operation {} at {}: {:?}", number, now, request);
            }
            Ok(())
        })
    });
    done.unwrap();
}

#[tokio::test]
async fn the_bounds_of_leases_and_slots_are_the_entries_bounds() {
    let Some(redis) = Redis::start("fleet-bounds", &[]) else { return };
    let mut both = Both::new(raw(&redis).await).await;
    let minute = Account { window: Window::Sliding(60), ..account(0, 1 << 40, 1) };
    let mut refused = 0;
    for worker in 0..300 {
        // Without a need there is no refusal, but no place either.
        for (need, want) in [(1, 1), (0, 5)] {
            let account = Account { need, want, ..minute.clone() };
            let asked = request(&format!("{worker}-{need}"), &format!("w-{worker}"), vec![account]);
            let (answer, expected) = both.operate(&asked, NOW).await;
            assert_eq!(answer, expected, "worker {worker}, need {need}");
            refused += usize::from(granted(&answer).is_none());
        }
    }
    assert_eq!(refused, 300 - attach_core::quota::entry::MAX_LEASES);

    // An hour's slots, then those of a window that is a little shorter: more than are kept.
    for n in 0..200_u64 {
        let window = Window::Sliding(if n < 60 { 3600 } else { 3599 });
        let now = NOW + 61 * n;
        let account = Account { key: Key([1; 16]), window, spent: vec![(now, n)], ..account(1, 1 << 40, 0) };
        let (answer, expected) = both.operate(&request(&format!("s-{n}"), "w", vec![account]), now).await;
        assert_eq!(answer, expected, "slot {n}");
    }
}

/// Entries here, and the script in Redis.
struct Both {
    connection: redis::aio::MultiplexedConnection,
    script: Script,
    entries: Vec<Entry>,
}

impl Both {
    async fn new(mut connection: redis::aio::MultiplexedConnection) -> Self {
        redis::cmd("FLUSHDB").query_async::<()>(&mut connection).await.unwrap();
        redis::cmd("SET").arg(EPOCH).arg("ready a").query_async::<()>(&mut connection).await.unwrap();
        Self { connection, script: Script::operate_at(), entries: vec![Entry::default(); ACCOUNTS] }
    }

    /// What Redis answers, and what the entries do.
    async fn operate(&mut self, request: &Request, now: u64) -> (Answer, Answer) {
        let mut arguments = vec!["ready a".to_owned(), journal::worker(&request.worker), "600".to_owned()];
        arguments.extend(request.accounts.iter().flat_map(account_arguments));
        arguments.push(now.to_string());
        let keys = keys(request);
        let answer = self.script.run::<(bool, String)>(&mut self.connection, &keys, &arguments);
        let (_, text) = answer.await.unwrap();
        (Reply::parse(&text).unwrap().answer(), self.in_core(request, now))
    }

    fn in_core(&mut self, request: &Request, now: u64) -> Answer {
        let asked = request.accounts.iter().map(|account| self.entries[which(account)].clone());
        let mut asked: Vec<Entry> = asked.collect();
        let answer = home::apply(&mut asked, &request.accounts, request.worker_number(), now);
        for (entry, account) in asked.into_iter().zip(&request.accounts) {
            // What is empty is not kept.
            let is_empty = entry.ends(account.window) == 0;
            self.entries[which(account)] = if is_empty { Entry::default() } else { entry };
        }
        answer
    }
}

fn which(account: &Account) -> usize {
    usize::from(account.key.0[0])
}
