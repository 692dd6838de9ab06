//! Whatever comes in whatever order.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// What may happen to a delivery.
#[derive(Clone, Debug)]
enum Deed {
    /// Events come, so many, so long; whether somebody waits.
    Push(usize, usize, bool),
    /// The oldest call, or another, is answered so.
    Answer(usize, Fate),
    /// So many milliseconds pass.
    Pass(u64),
    /// Control has said whether Weaviate may be told.
    Direct(bool),
    /// The configuration is another.
    Route(Route),
}

#[derive(Clone, Copy, Debug)]
enum Fate {
    Good,
    Partly,
    Silence,
    Status(u16),
}

fn fates() -> impl Strategy<Value = Fate> {
    prop_oneof![
        4 => Just(Fate::Good),
        1 => Just(Fate::Partly),
        1 => Just(Fate::Silence),
        2 => prop::sample::select(vec![200, 204, 400, 404, 413, 422, 429, 500, 503]).prop_map(Fate::Status),
    ]
}

fn deeds() -> impl Strategy<Value = Deed> {
    prop_oneof![
        4 => (0..4_usize, prop_oneof![9 => 0..2_000_usize, 1 => 0..200_000_usize], any::<bool>()).prop_map(|(count, size, waits)| Deed::Push(count, size, waits)),
        6 => (0..6_usize, fates()).prop_map(|(which, fate)| Deed::Answer(which, fate)),
        3 => (0..3_000_u64).prop_map(Deed::Pass),
        1 => any::<bool>().prop_map(Deed::Direct),
        1 => prop::sample::select(vec![Route::Embedded, Route::Weaviate]).prop_map(Deed::Route),
    ]
}

/// A delivery, and what became of everything that it was given.
struct World {
    delivery: Delivery,
    pool: Pool,
    now: UnixMillis,
    route: Route,
    is_direct: bool,
    open: Vec<Call>,
    /// Of each event, whether it has arrived, or was rejected.
    fates: BTreeMap<String, Option<bool>>,
    /// The events that each stream waits for.
    waiting: BTreeMap<u32, Vec<String>>,
    told: BTreeMap<u32, bool>,
    pushed: u32,
    full: u64,
}

impl World {
    fn new() -> Self {
        let (delivery, pool) = delivery(Route::Weaviate, false);
        let (open, fates, waiting, told) = <_>::default();
        let (now, route) = (START, Route::Weaviate);
        Self { delivery, pool, now, route, is_direct: false, open, fates, waiting, told, pushed: 0, full: 0 }
    }

    fn push(&mut self, count: usize, size: usize, waits: bool) {
        self.pushed += 1;
        let text = "x".repeat(size);
        let objects: Vec<Object> =
            (0..count).map(|place| object(&format!("{}-{place}", self.pushed), &text)).collect();
        let ids: Vec<String> = objects.iter().map(|object| object.id.clone()).collect();
        let mut share = self.pool.share();
        assert!(share.grow(size * count));
        let context = waits.then_some(self.pushed);
        let at_once = self.delivery.push(objects, share, context);
        let full = self.delivery.take_counts().full;
        self.full += full;
        match at_once {
            None => {
                self.waiting.extend(context.map(|context| (context, ids.clone())));
                self.fates.extend(ids.into_iter().map(|id| (id, None)));
            }
            Some(kept) => assert_eq!((kept, full == 0), (count == 0, count == 0)),
        }
    }

    fn collect(&mut self) {
        while let Some(call) = self.delivery.next_call(self.now) {
            self.check(&call);
            self.open.push(call);
        }
    }

    fn check(&self, call: &Call) {
        match call.to {
            To::Weaviate => assert!(self.route == Route::Weaviate && self.is_direct),
            To::Embedded => assert_eq!(self.route, Route::Embedded),
            To::Control => {}
        }
        let at_weaviate = self.open.iter().filter(|call| call.to == To::Weaviate).count();
        assert!(call.to != To::Weaviate || at_weaviate < 2);
        assert!(!ids(call).is_empty());
    }

    fn answer(&mut self, which: usize, fate: Fate) {
        if self.open.is_empty() {
            return;
        }
        let call = self.open.remove(which % self.open.len());
        let (all, some) = (said(&call, 0), said(&call, 1));
        let answer: Option<(u16, &[u8])> = match fate {
            Fate::Good if call.to == To::Control => Some((204, b"")),
            Fate::Good => Some((200, &all)),
            Fate::Partly => Some((200, &some)),
            Fate::Silence => None,
            Fate::Status(status) => Some((status, b"")),
        };
        let is_good = match call.to {
            To::Control => matches!(fate, Fate::Good | Fate::Status(200..=299)),
            To::Weaviate => matches!(fate, Fate::Good),
            To::Embedded => matches!(fate, Fate::Good | Fate::Status(204)),
        };
        let answered = self.delivery.answered(call.batch, call.to, answer, self.now);
        if is_good {
            for id in ids(&call) {
                assert_eq!(self.fates.insert(id, Some(true)), Some(None), "acknowledged once");
            }
        }
        if answered.rejected > 0 {
            assert!(call.to == To::Control && answered.rejected == 1);
            for id in ids(&call) {
                assert_eq!(self.fates.insert(id, Some(false)), Some(None));
            }
        }
        if let Some(next) = answered.next {
            assert!(next.to == To::Control && next.body == call.body);
            self.open.push(next);
        }
        for (context, kept) in answered.told {
            assert_eq!(self.told.insert(context, kept), None, "told once");
            let of_events: Vec<Option<bool>> =
                self.waiting[&context].iter().map(|id| self.fates[id]).collect();
            let expected = if kept {
                of_events.iter().all(|fate| *fate == Some(true))
            } else {
                of_events.contains(&Some(false))
            };
            assert!(expected, "{of_events:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn whatever_the_answers_everything_arrives_once_or_is_counted(deeds in prop::collection::vec(deeds(), 0..120)) {
        let mut world = World::new();
        for deed in deeds {
            match deed {
                Deed::Push(count, size, waits) => world.push(count, size, waits),
                Deed::Answer(which, fate) => world.answer(which, fate),
                Deed::Pass(millis) => world.now = world.now.after(Duration::from_millis(millis)),
                Deed::Direct(is_direct) => {
                    world.is_direct = is_direct;
                    world.delivery.set_direct(is_direct);
                }
                Deed::Route(route) => {
                    (world.route, world.is_direct) = (route, false);
                    world.delivery.set_route(route);
                }
            }
            // No call takes longer than this; its answer is that there is none.
            while world.open.len() > 6 {
                world.answer(0, Fate::Silence);
            }
            world.collect();
            prop_assert!(world.pool.taken() <= MAX_BYTES);
            let open = world.fates.values().filter(|fate| fate.is_none()).count();
            prop_assert!(world.delivery.len() >= open);
        }
        // Then all is well.
        for _ in 0..400 {
            while !world.open.is_empty() {
                world.answer(0, Fate::Good);
                world.collect();
            }
            world.now = world.now.after(Duration::from_secs(6));
            world.collect();
        }
        prop_assert!(world.fates.values().all(Option::is_some), "nothing is lost");
        prop_assert_eq!((world.delivery.len(), world.pool.taken()), (0, 0));
        prop_assert!(world.waiting.keys().all(|context| world.told.contains_key(context)));
    }
}
