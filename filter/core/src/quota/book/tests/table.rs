use super::*;

#[test]
fn the_table_is_bounded_and_makes_room_from_what_idles() {
    let wide = Wide::default();
    let limit = limit("minute", 1_000_000, Home::Shared);
    let mut book = Book::new("a-0", false);
    for n in 0..MAX_ACCOUNTS * 2 {
        let hold = held(book.reserve(&[need(&limit, &n.to_string())], 10, at(0.0), &wide));
        book.settle(hold, 1, at(0.0));
    }
    assert!(book.accounts.len() <= MAX_ACCOUNTS);
    for _ in 0..MAX_ACCOUNTS {
        book.close(at(0.5), &wide);
        if book.accounts.listed_len() == 0 {
            break;
        }
    }
    let all = wide.0.borrow();
    assert_eq!(all.len(), MAX_ACCOUNTS * 2);
    assert!(all.values().all(|entry| entry.used(limit.window, START) == 1 && entry.held(START) == 0));
}

#[test]
fn a_table_in_which_everything_is_held_takes_no_more() {
    let wide = Wide::default();
    let limit = limit("minute", 1_000_000, Home::Shared);
    let mut book = Book::new("a-0", false);
    let mut holds: Vec<Hold> = (0..MAX_ACCOUNTS)
        // A hold of nothing is one, too: what comes of it is charged to whom it was for.
        .map(|n| held(book.reserve(&[need(&limit, &n.to_string())], n as u64 % 2, at(0.0), &wide)))
        .collect();
    let needs = [need(&limit, "one more")];
    assert!(matches!(book.reserve(&needs, 10, at(5.0), &wide), Taken::Unavailable));
    book.settle(holds.pop().unwrap(), 7, at(5.0));
    let _hold = held(book.reserve(&needs, 10, at(5.0), &wide));
    let last = Key::of("minute", &(MAX_ACCOUNTS - 1).to_string());
    assert_eq!(wide.0.borrow()[&last].used(limit.window, START + 5), 7);
    assert_eq!(book.holds(), MAX_ACCOUNTS);
}
