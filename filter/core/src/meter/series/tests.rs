use proptest::prelude::*;

use super::*;
use crate::meter::instrument::fake::FakeHost;
use crate::meter::tally::Tally;

fn ready() -> FakeHost {
    let host = FakeHost::new();
    Tally::prepare(&host, 7);
    host
}

fn tokens(host: &FakeHost, user: &str, model: &str) -> Option<u64> {
    host.value(&format!("{NAME};user={user};model={model};direction=in"))
}

fn all_tokens(host: &FakeHost) -> u64 {
    host.values.borrow().values().sum()
}

fn series_of(host: &FakeHost) -> usize {
    host.names.borrow().len()
}

#[test]
fn a_pair_is_counted_under_its_own_name_by_every_worker() {
    let host = ready();
    let (mut one, mut two) = (Series::default(), Series::default());
    for worker in [&mut one, &mut two] {
        worker.count("anna", "m", 3, 4);
        worker.flush(&host, 10);
        worker.count("anna", "m", 3, 4);
        worker.flush(&host, 10);
    }
    assert_eq!(tokens(&host, "anna", "m"), Some(12));
    assert_eq!((series_of(&host), all_tokens(&host)), (2, 28));
}

#[test]
fn all_workers_together_make_no_more_series_than_may_exist() {
    let host = ready();
    let mut workers: Vec<Series> = (0..4).map(|_| Series::default()).collect();
    let mut total = 0;
    for round in 0..20 {
        for (number, worker) in workers.iter_mut().enumerate() {
            for user in 0..100 {
                worker.count(&format!("user-{number}-{round}-{user}"), &format!("m{}", user % 3), 1, 1);
                total += 2;
            }
            worker.flush(&host, 500);
        }
    }
    assert!(series_of(&host) <= 500, "{}", series_of(&host));
    assert!(series_of(&host) > 440);
    assert_eq!(all_tokens(&host), total, "nothing is left out");
    assert!(tokens(&host, OTHER, "m1").unwrap() > 0, "other users, by model");
}

#[test]
fn one_users_made_up_models_do_not_use_the_register_up() {
    let host = ready();
    let mut worker = Series::default();
    for model in 0..900 {
        worker.count("mallory", &format!("model-{model}"), 1, 0);
    }
    worker.flush(&host, 5_000);
    assert_eq!(series_of(&host), 65, "64 of the user's, and one for the others");
    assert_eq!(tokens(&host, "mallory", OTHER), Some(900 - 64));
    worker.count("anna", "m", 1, 0);
    worker.flush(&host, 5_000);
    assert_eq!(tokens(&host, "anna", "m"), Some(1));
}

#[test]
fn names_that_fit_no_label_read_other_and_are_not_kept() {
    let host = ready();
    let mut worker = Series::default();
    let long = "a".repeat(100_000);
    worker.count(&long, "m", 1, 0);
    worker.count("anna", &long, 1, 0);
    worker.count(&long, &long, 1, 0);
    worker.flush(&host, 100);
    for (user, model) in [(OTHER, "m"), ("anna", OTHER), (OTHER, OTHER)] {
        assert_eq!(tokens(&host, user, model), Some(1), "{user} {model}");
    }
    assert!(worker.known.is_empty());
}

#[test]
fn a_full_register_is_not_asked_about_everyone() {
    let host = ready();
    let mut worker = Series::default();
    for user in 0..100 {
        worker.count(&format!("user-{user}"), "m", 1, 0);
        worker.flush(&host, 20);
    }
    let before = host.calls.get();
    worker.count("late", "m", 1, 0);
    worker.flush(&host, 20);
    assert_eq!(host.calls.get(), before + 1, "the counter, and nothing else");
}

#[test]
fn more_new_pairs_than_are_kept_are_counted_together() {
    let host = ready();
    let mut worker = Series::default();
    for user in 0..5_000 {
        worker.count(&format!("user-{user}"), "m", 1, 0);
    }
    assert_eq!(worker.fresh.len(), MAX_FRESH);
    worker.flush(&host, 100_000);
    assert_eq!(tokens(&host, OTHER, OTHER), Some(5_000 - MAX_FRESH as u64));
    assert_eq!(all_tokens(&host), 5_000);
}

#[test]
fn what_cannot_be_claimed_now_is_claimed_later() {
    let host = ready();
    let mut worker = Series::default();
    worker.count("anna", "m", 1, 0);
    host.losing.set(u32::try_from(WRITE_ATTEMPTS).unwrap());
    worker.flush(&host, 100);
    assert_eq!(tokens(&host, "anna", "m"), None);
    worker.flush(&host, 100);
    assert_eq!(tokens(&host, "anna", "m"), Some(1));
    // Where nobody has made the register, nothing is claimed.
    let (bare, mut worker) = (FakeHost::new(), Series::default());
    worker.count("anna", "m", 1, 0);
    worker.flush(&bare, 100);
    assert_eq!(series_of(&bare), 0);
}

proptest! {
    #[test]
    fn no_token_is_lost_and_no_series_too_many(
        calls in proptest::collection::vec((0_usize..3, "[a-c;]{0,3}", "[xy]{0,2}", 0_u64..9, any::<bool>()), 0..200),
        most in 0_u32..24,
    ) {
        let host = ready();
        let mut workers: Vec<Series> = (0..3).map(|_| Series::default()).collect();
        let mut total = 0;
        for (worker, user, model, input, flush) in calls {
            workers[worker].count(&user, &model, input, 1);
            total += input + 1;
            if flush {
                workers[worker].flush(&host, most);
            }
        }
        for worker in &mut workers {
            worker.flush(&host, most);
        }
        prop_assert_eq!(all_tokens(&host), total);
        prop_assert!(series_of(&host) <= most.max(2) as usize);
    }

    #[test]
    fn a_register_is_read_as_far_as_it_goes(value: Vec<u8>) {
        let registry = Registry::read(&value);
        let again = Registry::read(registry.value());
        prop_assert_eq!(again.value(), registry.value());
    }
}
