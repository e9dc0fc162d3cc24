//! The actual type counts, also behind an alias.

use std::collections::{BTreeMap, HashMap};

use campanile::channel::INBOX;
use campanile::notifiable_event;

type Price = f64;
type Tags = Option<Vec<String>>;

/// An order was placed.
#[notifiable_event(
    "shop.order.placed",
    category = "orders",
    dedup(by(subject, weight, price, discount, tags, names, sizes, extra, note)),
    channels(INBOX(title = "{{ price }}", body = ".."))
)]
pub struct Placed {
    pub weight: f32,
    pub price: Price,
    pub discount: Option<f64>,
    pub tags: Tags,
    pub names: HashMap<String, String>,
    pub sizes: BTreeMap<String, u8>,
    pub extra: campanile::serde_json::Value,
    pub note: Option<String>,
}

fn main() {}
