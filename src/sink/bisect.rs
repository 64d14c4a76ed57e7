//! Pure: finds the events that the database refuses, by what it says of them, and by halving.

use std::ops::Range;

/// Which events to try next. Ranges come in stream order, so what is accepted is applied in stream order.
#[derive(Debug)]
pub struct Bisect {
    /// Ranges still to try, the first one last.
    todo: Vec<Range<usize>>,
    /// The range that is being tried.
    tried: Range<usize>,
    /// Most events to try at once: few, where most of them are bad.
    most: usize,
    /// Events accepted since the last bad one.
    accepted: usize,
    /// The event that the database named last.
    named: Option<usize>,
    /// Whether each event that it named was bad.
    believed: bool,
}

/// What a refusal means.
#[derive(Debug, PartialEq, Eq)]
pub enum Refused {
    /// Some event of the range is bad: its parts come next.
    Divided,
    /// This one event is bad.
    Single(usize),
}

impl Bisect {
    /// Tries `events` events: all at once first, or, if the database has refused them all and `named` one, around that.
    pub fn new(events: usize, named: Option<usize>) -> Self {
        let mut bisect = Bisect {
            todo: Vec::new(),
            tried: 0..0,
            most: events,
            // Nothing is known yet: the first bad one makes nobody careful.
            accepted: events,
            named: None,
            believed: true,
        };
        match named {
            Some(_) => bisect.divide(0..events, named),
            None => bisect.push(0..events),
        }
        bisect
    }

    /// The range to try next. The one before it, unless [`Bisect::refused`], was accepted.
    pub fn next_range(&mut self) -> Option<Range<usize>> {
        if !self.tried.is_empty() {
            self.accepted = self.accepted.saturating_add(self.tried.len());
            self.most = self.most.max(self.tried.len().saturating_mul(2));
            self.believed &= self.named.take_if(|named| self.tried.contains(named)).is_none();
        }
        let next = self.todo.pop();
        self.tried = next.unwrap_or_default();
        if self.tried.len() > self.most {
            let rest = self.tried.start + self.most..self.tried.end;
            self.tried.end = rest.start;
            self.push(rest);
        }
        Some(self.tried.clone()).filter(|range| !range.is_empty())
    }

    /// The database refused the range, and perhaps named an event that it says is to blame.
    pub fn refused(&mut self, named: Option<usize>) -> Refused {
        let range = std::mem::take(&mut self.tried);
        debug_assert!(!range.is_empty());
        if range.len() > 1 {
            self.divide(range, named);
            return Refused::Divided;
        }
        self.most = self.accepted.saturating_mul(2).saturating_add(1);
        self.accepted = 0;
        self.named = None;
        Refused::Single(range.start)
    }

    /// Divides a range around the event that was named, or in the middle. Each part is tried: what was named may be
    /// good, and what was not may be bad.
    fn divide(&mut self, range: Range<usize>, named: Option<usize>) {
        match named.filter(|named| self.believed && range.contains(named)) {
            Some(named) => {
                self.named = Some(named);
                self.push(named + 1..range.end);
                self.push(named..named + 1);
                self.push(range.start..named);
            }
            None => {
                let middle = range.start + range.len() / 2;
                self.push(middle..range.end);
                self.push(range.start..middle);
            }
        }
    }

    fn push(&mut self, range: Range<usize>) {
        if !range.is_empty() {
            self.todo.push(range);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What the database names when it refuses a range.
    type Names<'a> = &'a dyn Fn(Range<usize>) -> Option<usize>;

    /// The events found bad, those applied, and the lengths of the ranges tried.
    fn bisected(bad: &[bool], first: Option<usize>, names: Names) -> (Vec<usize>, Vec<usize>, Vec<usize>) {
        let mut bisect = Bisect::new(bad.len(), first);
        let (mut applied, mut found, mut tried) = (Vec::new(), Vec::new(), Vec::new());
        while let Some(range) = bisect.next_range() {
            tried.push(range.len());
            if bad[range.clone()].iter().any(|bad| *bad) {
                if let Refused::Single(event) = bisect.refused(names(range)) {
                    found.push(event);
                }
            } else {
                applied.extend(range);
            }
        }
        (found, applied, tried)
    }

    fn truth(bad: &[bool]) -> impl Fn(Range<usize>) -> Option<usize> {
        |range| range.clone().find(|event| bad[*event])
    }

    proptest! {
        /// Exactly the bad events are found, everything else is applied once, in order: whatever the database names.
        #[test]
        fn the_bad_and_only_the_bad_are_found(
            bad in proptest::collection::vec(any::<bool>(), 0..60),
            first in proptest::option::of(0usize..70),
            lies in proptest::collection::vec(proptest::option::of(0usize..70), 1..20),
        ) {
            let (expected_bad, expected_good): (Vec<usize>, Vec<usize>) = (0..bad.len()).partition(|n| bad[*n]);
            let truth = truth(&bad);
            let some_lie = |range: Range<usize>| lies[range.start % lies.len()];
            let names: [Names; 3] = [&truth, &some_lie, &|_| None];
            for names in names {
                let (found, applied, tried) = bisected(&bad, first, names);
                prop_assert_eq!(&found, &expected_bad);
                prop_assert_eq!(&applied, &expected_good);
                prop_assert!(tried.len() <= 4 * bad.len() + 2, "{} tries", tried.len());
            }
        }
    }

    #[test]
    fn a_bad_event_that_is_named_takes_three_tries() {
        for place in [0, 1, 2_500, 4_999] {
            let mut bad = vec![false; 5_000];
            bad[place] = true;
            let (found, _, tried) = bisected(&bad, Some(place), &truth(&bad));
            assert_eq!(found, [place]);
            assert!(tried.len() <= 3, "{tried:?}");
        }
    }

    #[test]
    fn where_all_are_bad_each_is_tried_alone() {
        let bad = vec![true; 5_000];
        for names in [&truth(&bad) as Names, &|_| None] {
            let (found, _, tried) = bisected(&bad, None, names);
            assert_eq!(found.len(), 5_000);
            assert!(tried.len() < 5_030, "{} tries", tried.len());
            assert!(tried.iter().sum::<usize>() < 20_000, "{} rows sent", tried.iter().sum::<usize>());
        }
    }

    #[test]
    fn one_lie_is_believed_once() {
        let mut bad = vec![false; 5_000];
        bad[4_000] = true;
        let (found, _, tried) = bisected(&bad, None, &|range| Some(range.start));
        assert_eq!(found, [4_000]);
        assert!(tried.len() < 50, "{tried:?}");
    }
}
