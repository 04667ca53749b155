//! How much, and the lines of the bill, in one value of the database.
//!
//! ```text
//! amounts = mask of the metrics, number…, line…
//! line    = place of its name in `ItemName::ALL`, quantity, nano-dollars
//! ```

use base::NanoDollars;
use store::{Error, Result, Row};

use crate::{Charge, ItemName, Metric, Quantities, varint};

pub(super) fn pack(quantities: &Quantities, lines: &[Charge]) -> Vec<u8> {
    let mut out = Vec::with_capacity(64);
    let there = |metric: &&Metric| quantities.get(**metric).is_some();
    let mask = Metric::ALL.iter().filter(there);
    let mask = mask.fold(0, |mask, metric| mask | 1 << (*metric as u64));
    varint::push(&mut out, mask);
    for amount in Metric::ALL
        .iter()
        .filter_map(|metric| quantities.get(*metric))
    {
        varint::push_signed(&mut out, amount);
    }
    for line in lines {
        varint::push(&mut out, line.name as u64);
        varint::push_signed(&mut out, line.quantity);
        varint::push_signed(&mut out, line.amount.0);
    }
    out
}

/// Reads the column `amounts` of a row.
pub(crate) fn read(row: &Row<'_>) -> Result<(Quantities, Vec<Charge>)> {
    let packed: Vec<u8> = row.get("amounts")?;
    let broken = || Error::Column("amounts".to_owned(), "is not what was packed".to_owned());
    unpack(&packed).ok_or_else(broken)
}

fn unpack(mut packed: &[u8]) -> Option<(Quantities, Vec<Charge>)> {
    let mut quantities = Quantities::default();
    let mask = varint::take(&mut packed)?;
    for metric in Metric::ALL {
        if mask & 1 << (*metric as u64) != 0 {
            quantities.set_signed(*metric, varint::take_signed(&mut packed)?);
        }
    }
    let mut lines = Vec::new();
    while !packed.is_empty() {
        let name = usize::try_from(varint::take(&mut packed)?).ok()?;
        lines.push(Charge {
            name: *ItemName::ALL.get(name)?,
            quantity: varint::take_signed(&mut packed)?,
            amount: NanoDollars(varint::take_signed(&mut packed)?),
        });
    }
    Some((quantities, lines))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_is_found_again() {
        let quantities = Quantities::default()
            .with(Metric::InputTokens, 0)
            .with(Metric::NumRequests, i64::MAX);
        let line = |name, quantity, amount| Charge {
            name,
            quantity,
            amount: NanoDollars(amount),
        };
        let lines = [
            line(ItemName::InputTokens, 1_000, 250_000),
            line(ItemName::VectorStores, 0, -7),
        ];
        let packed = pack(&quantities, &lines);
        assert_eq!(unpack(&packed), Some((quantities, lines.to_vec())));
        for end in 0..packed.len() {
            // Where a line ends, less is there, but nothing else.
            let (less, fewer) = unpack(&packed[..end]).unwrap_or_default();
            assert!(less == Quantities::default() || less == quantities);
            assert!(lines.starts_with(&fewer));
        }
        assert_eq!(
            unpack(&pack(&Quantities::default(), &[])),
            Some(Default::default())
        );
    }
}
