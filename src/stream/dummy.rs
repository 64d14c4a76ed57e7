//! Made-up user actions for demonstrations and measurements: the same for the same seed and index.

use chrono::{DateTime, SecondsFormat};
use serde::Serialize;

/// The entity that [`UserAction`]s belong to: `streams.user_action` in the settings.
pub const ENTITY: &str = "user_action";

/// What users do.
pub const ACTIONS: [&str; 10] = [
    "login",
    "logout",
    "view_page",
    "search",
    "add_to_cart",
    "remove_from_cart",
    "purchase",
    "download",
    "update_profile",
    "comment",
];

/// Users there are.
pub const USERS: u64 = 1000;

/// One thing that a user did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UserAction {
    /// Who: `user-0001` to `user-1000`, the last being [`USERS`].
    pub user_id: String,
    /// What: one of [`ACTIONS`].
    pub action: &'static str,
    /// When: ISO 8601 in UTC with milliseconds.
    pub timestamp: String,
}

/// The user action number `index` of the series `seed`. Times grow with the index, about one action a second.
pub fn user_action(seed: u64, index: u64) -> UserAction {
    /// 2024-06-10T00:00:00Z, in milliseconds.
    const BEGIN: u64 = 1_717_977_600_000;
    /// The series begins again after 1,000 years, so that no index leaves the calendar.
    const SECONDS: u64 = 1_000 * 365 * 86_400;
    let chance = mix(seed ^ mix(index));
    let millis = BEGIN + (index % SECONDS) * 1_000 + chance % 1_000;
    let time = i64::try_from(millis).ok().and_then(DateTime::from_timestamp_millis).unwrap_or_default();
    let action = usize::try_from((chance >> 16) % ACTIONS.len() as u64).unwrap_or_default();
    UserAction {
        user_id: format!("user-{:04}", 1 + (chance >> 32) % USERS),
        action: ACTIONS[action],
        timestamp: time.to_rfc3339_opts(SecondsFormat::Millis, true),
    }
}

/// The finaliser of SplitMix64: every bit of the result depends on every bit of `x`.
fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn the_same_seed_and_index_give_the_same_action() {
        assert_eq!(user_action(1, 7), user_action(1, 7));
        assert_ne!(user_action(1, 7), user_action(2, 7));
    }

    #[test]
    fn actions_are_varied_and_in_order_of_time() {
        let actions: Vec<_> = (0..5_000).map(|index| user_action(0, index)).collect();
        assert!(actions.windows(2).all(|pair| pair[0].timestamp < pair[1].timestamp));
        assert_eq!(actions.iter().map(|action| action.action).collect::<HashSet<_>>().len(), ACTIONS.len());
        assert!(actions.iter().map(|action| action.user_id.as_str()).collect::<HashSet<_>>().len() > 900);
        let number = |action: &UserAction| action.user_id.strip_prefix("user-").and_then(|number| number.parse().ok());
        assert!(actions.iter().all(|action| number(action).is_some_and(|number: u64| (1..=USERS).contains(&number))));
    }

    #[test]
    fn times_are_iso_8601_with_milliseconds() {
        for index in [0, 1, u64::MAX] {
            let time = user_action(0, index).timestamp;
            assert!(DateTime::parse_from_rfc3339(&time).is_ok() && time.len() == 24 && time.ends_with('Z'), "{time}");
        }
    }
}
