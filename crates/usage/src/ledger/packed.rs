//! The encoding of the quantities and charges of a row in one value of the database, the column `amounts`.
//!
//! ```text
//! amounts = mask of the metrics, number…, charge…
//! charge  = index of its name in `ItemName::ALL`, quantity, nano-dollars
//! ```

use base::NanoDollars;
use rollup::varint;
use store::{Error, Result, Row};

use crate::{Charge, ItemName, Metric, Quantities};

pub(super) fn pack(quantities: &Quantities, charges: &[Charge]) -> Vec<u8> {
    let mut out = Vec::with_capacity(64);
    let there = |metric: &&Metric| quantities.get(**metric).is_some();
    let mask = Metric::ALL.iter().filter(there);
    let mask = mask.fold(0_u64, |mask, metric| mask | 1 << (*metric as u64));
    varint::push(&mut out, mask);
    for amount in Metric::ALL
        .iter()
        .filter_map(|metric| quantities.get(*metric))
    {
        varint::push(&mut out, amount);
    }
    for charge in charges {
        varint::push(&mut out, charge.name as u64);
        varint::push(&mut out, charge.quantity);
        varint::push(&mut out, charge.amount.0);
    }
    out
}

/// Decodes the column `amounts` of a row.
pub(crate) fn read(row: &Row<'_>) -> Result<(Quantities, Vec<Charge>)> {
    let packed: Vec<u8> = row.get("amounts")?;
    let broken = || Error::Column("amounts".to_owned(), "is not what was packed".to_owned());
    unpack(&packed).ok_or_else(broken)
}

fn unpack(mut packed: &[u8]) -> Option<(Quantities, Vec<Charge>)> {
    let mut quantities = Quantities::default();
    let mask: u64 = varint::take(&mut packed)?;
    for metric in Metric::ALL {
        if mask & 1 << (*metric as u64) != 0 {
            quantities.set_signed(*metric, varint::take(&mut packed)?);
        }
    }
    let mut charges = Vec::new();
    while !packed.is_empty() {
        let name = usize::try_from(varint::take::<u64>(&mut packed)?).ok()?;
        charges.push(Charge {
            name: *ItemName::ALL.get(name)?,
            quantity: varint::take(&mut packed)?,
            amount: NanoDollars(varint::take(&mut packed)?),
        });
    }
    Some((quantities, charges))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_quantities_and_charges_are_unpacked_unchanged() {
        let quantities = Quantities::default()
            .with(Metric::InputTokens, 0)
            .with(Metric::NumRequests, i64::MAX);
        let charge = |name, quantity, amount| Charge {
            name,
            quantity,
            amount: NanoDollars(amount),
        };
        let charges = [
            charge(ItemName::InputTokens, 1_000, 250_000),
            charge(ItemName::VectorStores, 0, -7),
        ];
        let packed = pack(&quantities, &charges);
        assert_eq!(unpack(&packed), Some((quantities, charges.to_vec())));
        for end in 0..packed.len() {
            // Cut after a charge, the rest is valid: with fewer charges, but nothing else.
            let (less, fewer) = unpack(&packed[..end]).unwrap_or_default();
            assert!(less == Quantities::default() || less == quantities);
            assert!(charges.starts_with(&fewer));
        }
        assert_eq!(
            unpack(&pack(&Quantities::default(), &[])),
            Some(Default::default())
        );
    }
}
