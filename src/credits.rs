//! Pure: how many bytes are on their way between a reader and the database, and so how much may be read.

/// What one byte of an entry or document costs: it is held as it came, as the column values made of it, and in the
/// buffers of the connections.
const COPIES: usize = 3;

/// Entries of a first read, when nobody knows yet what an entry weighs.
const FIRST_COUNT: usize = 16;

/// The reader's account. Reading spends, commits give back; memory is bounded by it, whatever the backlog.
#[derive(Debug)]
pub struct Credits {
    bytes_max: usize,
    bytes_in_flight: usize,
    /// Moving average of what an event costs with its document, in bytes.
    bytes_per_event: usize,
    /// Most entries of the next read. It grows by doubling, and starts anew when entries become much larger: so one
    /// read can pass the bound by little.
    count_max: usize,
}

impl Credits {
    /// An account of `bytes_max` (`max_in_flight_bytes`).
    pub fn new(bytes_max: usize) -> Self {
        Credits { bytes_max, bytes_in_flight: 0, bytes_per_event: 0, count_max: FIRST_COUNT }
    }

    /// Notes that `events` weighing `bytes` in all were read, and answers what they cost: what is to be given back.
    pub fn spend(&mut self, events: usize, bytes: usize) -> usize {
        let cost = bytes * COPIES;
        self.bytes_in_flight += cost;
        self.learn(events, cost);
        cost
    }

    /// Notes that the documents of events that were read before weigh `bytes`.
    pub fn spend_documents(&mut self, events: usize, bytes: usize) {
        let cost = cost_of_documents(bytes);
        self.bytes_in_flight += cost;
        if bytes > 0 {
            self.learn(events, self.bytes_per_event.saturating_mul(events) + cost);
        }
    }

    /// Gives back what a committed batch cost.
    pub fn give_back(&mut self, cost: usize) {
        debug_assert!(cost <= self.bytes_in_flight, "more came back than was out");
        self.bytes_in_flight = self.bytes_in_flight.saturating_sub(cost);
    }

    /// How many entries the next read may ask for: none while everything is out, or half of it and no whole batch fits;
    /// and never so many that one read of large documents would pass the bound by far.
    pub fn read_count(&self, batch_size: usize) -> usize {
        let left = self.bytes_max.saturating_sub(self.bytes_in_flight);
        if left == 0 {
            return 0;
        }
        let most = batch_size.min(self.count_max);
        match self.bytes_per_event {
            0 => most,
            // In pieces as large as may be: what trickles in after each commit would be written in small statements.
            per_event if left / per_event < most && self.bytes_in_flight > self.bytes_max / 2 => 0,
            per_event => (left / per_event).clamp(1, most),
        }
    }

    /// Bytes that are out.
    pub fn bytes_in_flight(&self) -> usize {
        self.bytes_in_flight
    }

    fn learn(&mut self, events: usize, cost: usize) {
        if let Some(now) = cost.checked_div(events) {
            const MUCH_LARGER: usize = 4;
            let surprise = self.bytes_per_event > 0 && now > self.bytes_per_event * MUCH_LARGER;
            self.count_max = if surprise { FIRST_COUNT } else { self.count_max.saturating_mul(2) };
            // Rises at once, falls slowly: the bound matters more than the last per cent of batch size.
            self.bytes_per_event = now.max((self.bytes_per_event * 7 + now) / 8);
        }
    }
}

/// What documents of so many bytes cost.
pub fn cost_of_documents(bytes: usize) -> usize {
    bytes * COPIES
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reading_stops_when_all_is_out_and_goes_on_with_what_comes_back() {
        let mut credits = Credits::new(3000);
        assert_eq!(credits.read_count(10), 10);
        assert_eq!(credits.spend(10, 1000), 3000);
        assert_eq!(credits.read_count(10), 0);
        credits.give_back(900);
        assert_eq!(credits.read_count(10), 0, "more than half is out, and less than a batch fits");
        credits.give_back(600);
        assert_eq!(credits.read_count(10), 5);
        assert_eq!(credits.read_count(3), 3);
        credits.give_back(1500);
        assert_eq!(credits.read_count(10), 10);
        assert_eq!(credits.bytes_in_flight(), 0);
    }

    #[test]
    fn reads_begin_small_and_double_and_begin_anew_with_large_documents() {
        let mut credits = Credits::new(1_000_000);
        let mut counts = Vec::new();
        for _ in 0..5 {
            let count = credits.read_count(100);
            counts.push(count);
            let cost = credits.spend(count, count * 10);
            credits.give_back(cost);
        }
        assert_eq!(counts, [16, 32, 64, 100, 100]);
        let cost = credits.spend(100, 1000);
        credits.spend_documents(100, 10_000_000);
        credits.give_back(cost + cost_of_documents(10_000_000));
        assert_eq!(credits.read_count(100), 3);
    }

    proptest! {
        /// With events of one weight the bound is passed by at most one event, or by the first read.
        #[test]
        fn the_bound_holds(weight in 1usize..500, max in 1usize..100_000, batch in 1usize..100, steps in 1usize..200) {
            let mut credits = Credits::new(max);
            let mut out = std::collections::VecDeque::new();
            let most = max + weight * COPIES * FIRST_COUNT;
            for step in 0..steps {
                let count = credits.read_count(batch);
                if count > 0 {
                    out.push_back(credits.spend(count, count * weight));
                    prop_assert!(credits.bytes_in_flight() < most);
                }
                if (count == 0 || step % 3 == 0) && let Some(cost) = out.pop_front() {
                    credits.give_back(cost);
                }
            }
        }
    }
}
