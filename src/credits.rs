//! Pure: how many bytes are on their way between a reader and the database, and so how much may be read.

/// The reader's account. Reading spends, commits give back; memory is bounded by it, whatever the backlog.
#[derive(Debug)]
pub struct Credits {
    bytes_max: usize,
    bytes_in_flight: usize,
    /// Moving average of what an event weighs with its document, in bytes.
    bytes_per_event: usize,
}

impl Credits {
    /// An account of `bytes_max` (`max_in_flight_bytes`).
    pub fn new(bytes_max: usize) -> Self {
        Credits { bytes_max, bytes_in_flight: 0, bytes_per_event: 0 }
    }

    /// Notes that `events` weighing `bytes` in all were read.
    pub fn spend(&mut self, events: usize, bytes: usize) {
        self.bytes_in_flight += bytes;
        self.learn(events, bytes);
    }

    /// Notes that the documents of events that were read before weigh `bytes`.
    pub fn spend_documents(&mut self, events: usize, bytes: usize) {
        self.bytes_in_flight += bytes;
        if bytes > 0 {
            self.learn(events, self.bytes_per_event.saturating_mul(events) + bytes);
        }
    }

    /// Gives back what a committed batch weighed.
    pub fn give_back(&mut self, bytes: usize) {
        debug_assert!(bytes <= self.bytes_in_flight, "more came back than was out");
        self.bytes_in_flight = self.bytes_in_flight.saturating_sub(bytes);
    }

    /// How many entries the next read may ask for: none while everything is out, and never so many
    /// that one read of large documents would pass the bound by far.
    pub fn read_count(&self, batch_size: usize) -> usize {
        let left = self.bytes_max.saturating_sub(self.bytes_in_flight);
        if left == 0 {
            return 0;
        }
        match self.bytes_per_event {
            0 => batch_size,
            per_event => (left / per_event).clamp(1, batch_size),
        }
    }

    /// Bytes that are out.
    pub fn bytes_in_flight(&self) -> usize {
        self.bytes_in_flight
    }

    fn learn(&mut self, events: usize, bytes: usize) {
        if let Some(now) = bytes.checked_div(events) {
            // Rises at once, falls slowly: the bound matters more than the last per cent of batch size.
            self.bytes_per_event = now.max((self.bytes_per_event * 7 + now) / 8);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reading_stops_when_all_is_out_and_goes_on_with_what_comes_back() {
        let mut credits = Credits::new(1000);
        assert_eq!(credits.read_count(10), 10);
        credits.spend(10, 1000);
        assert_eq!(credits.read_count(10), 0);
        credits.give_back(300);
        assert_eq!(credits.read_count(10), 3);
        credits.give_back(700);
        assert_eq!(credits.read_count(10), 10);
        assert_eq!(credits.bytes_in_flight(), 0);
    }

    #[test]
    fn large_documents_make_reads_small() {
        let mut credits = Credits::new(1_000_000);
        credits.spend(10, 1000);
        credits.spend_documents(10, 990_000);
        credits.give_back(991_000);
        assert_eq!(credits.read_count(1000), 10);
    }

    proptest! {
        /// With events of one weight the bound is passed by at most one event.
        #[test]
        fn the_bound_holds(weight in 1usize..500, max in 1usize..10_000, batch in 1usize..100, steps in 1usize..200) {
            let mut credits = Credits::new(max);
            // The very first read cannot know the weight; it is of one batch.
            credits.spend(batch, weight * batch);
            credits.give_back(weight * batch);
            let mut out = std::collections::VecDeque::new();
            for step in 0..steps {
                let count = credits.read_count(batch);
                if count > 0 {
                    credits.spend(count, count * weight);
                    out.push_back(count * weight);
                    prop_assert!(credits.bytes_in_flight() < max + weight);
                }
                if (count == 0 || step % 3 == 0) && let Some(bytes) = out.pop_front() {
                    credits.give_back(bytes);
                }
            }
        }
    }
}
