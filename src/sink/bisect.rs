//! Pure: finds the events that the database refuses, by halving.

use std::ops::Range;

/// Which events to try next. Ranges come in stream order, so what is accepted is applied in stream order.
#[derive(Debug)]
pub struct Bisect {
    /// Ranges still to try, the first one last.
    todo: Vec<Range<usize>>,
}

/// What a refusal means.
#[derive(Debug, PartialEq, Eq)]
pub enum Refused {
    /// Some event of the range is bad: its halves come next.
    Halved,
    /// This one event is bad.
    Single(usize),
}

impl Bisect {
    /// Tries `events` events, all at once first.
    pub fn new(events: usize) -> Self {
        let all = 0..events;
        Bisect { todo: Some(all).filter(|all| !all.is_empty()).into_iter().collect() }
    }

    /// The range to try next.
    pub fn next_range(&mut self) -> Option<Range<usize>> {
        self.todo.pop()
    }

    /// The database refused `range`.
    pub fn refused(&mut self, range: Range<usize>) -> Refused {
        debug_assert!(!range.is_empty());
        if range.len() == 1 {
            return Refused::Single(range.start);
        }
        let middle = range.start + range.len() / 2;
        self.todo.push(middle..range.end);
        self.todo.push(range.start..middle);
        Refused::Halved
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Exactly the bad events are found, everything else is applied once, in order.
        #[test]
        fn the_bad_and_only_the_bad_are_found(bad in proptest::collection::vec(any::<bool>(), 0..60)) {
            let mut bisect = Bisect::new(bad.len());
            let (mut applied, mut found) = (Vec::new(), Vec::new());
            while let Some(range) = bisect.next_range() {
                if bad[range.clone()].iter().any(|bad| *bad) {
                    if let Refused::Single(event) = bisect.refused(range) { found.push(event); }
                } else {
                    applied.extend(range);
                }
            }
            let (expected_bad, expected_good): (Vec<usize>, Vec<usize>) = (0..bad.len()).partition(|n| bad[*n]);
            prop_assert_eq!(found, expected_bad);
            prop_assert_eq!(applied, expected_good);
        }
    }
}
