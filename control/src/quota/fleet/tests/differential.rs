//! The script is what [`attach_core::quota`] is, at any time and after anything.

use attach_core::quota::entry::Entry;
use attach_core::quota::{home, wire};
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
    let mut connection = runtime.block_on(raw(&redis));
    let script = Script::operate_at();
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
    let connection = std::cell::RefCell::new(&mut connection);
    let done = runner.run(&strategy, |(mut limits, steps, start)| {
        let mut connection = connection.borrow_mut();
        let connection: &mut redis::aio::MultiplexedConnection = &mut connection;
        runtime.block_on(async {
            redis::cmd("FLUSHDB").query_async::<()>(connection).await.unwrap();
            redis::cmd("SET").arg(EPOCH).arg("ready a").query_async::<()>(connection).await.unwrap();
            let mut entries = vec![Entry::default(); ACCOUNTS];
            let mut now = NOW + start;
            for (number, step) in steps.into_iter().enumerate() {
                now = shifted(now, step.clock);
                let mut accounts: Vec<Account> = Vec::new();
                for asked in step.accounts {
                    if accounts.iter().any(|account| account.key.0[0] as usize == asked.which) {
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
                let expected = in_core(&mut entries, &request, now);
                let mut arguments =
                    vec!["ready a".to_owned(), journal::worker(&request.worker), "600".to_owned()];
                arguments.extend(request.accounts.iter().flat_map(account_arguments));
                arguments.push(now.to_string());
                let (_, text): (bool, String) =
                    script.run(connection, &keys(&request), &arguments).await.unwrap();
                let answer = Reply::parse(&text).unwrap().answer();
                prop_assert_eq!(answer, expected, "operation {} at {}: {:?}", number, now, request);
            }
            Ok(())
        })
    });
    done.unwrap();
}

fn in_core(entries: &mut [Entry], request: &Request, now: u64) -> wire::Answer {
    let which = |account: &Account| usize::from(account.key.0[0]);
    let mut asked: Vec<Entry> =
        request.accounts.iter().map(|account| entries[which(account)].clone()).collect();
    let answer = home::apply(&mut asked, &request.accounts, request.worker_number(), now);
    for (entry, account) in asked.into_iter().zip(&request.accounts) {
        // What is empty is not kept.
        entries[which(account)] = if entry.ends(account.window) == 0 { Entry::default() } else { entry };
    }
    answer
}
