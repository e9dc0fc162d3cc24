//! A **row**, read by the names of its columns on either database.
//!
//! This does not use sqlx's `derive`: its macros would build the drivers a second time for the compiler, and enable a feature
//! that hosts have not chosen.

use jiff::Timestamp;
use sqlx::error::BoxDynError;
use sqlx::{Database, Decode, Type};
use uuid::Uuid;

use crate::state::DeliveryState;

/// Not public API: declares a struct that is read from a row of either database, each field from the column with its name.
#[macro_export]
#[doc(hidden)]
macro_rules! row {
    (
        $(#[$meta:meta])*
        $visible:vis struct $name:ident {
            $($(#[$field_meta:meta])* $field_visible:vis $field:ident: $type:ty),* $(,)?
        }
    ) => {
        $(#[$meta])*
        $visible struct $name {
            $($(#[$field_meta])* $field_visible $field: $type),*
        }

        impl<'r, R> $crate::sqlx::FromRow<'r, R> for $name
        where
            R: $crate::sqlx::Row,
            &'static str: $crate::sqlx::ColumnIndex<R>,
            $($type: $crate::sqlx::Decode<'r, R::Database> + $crate::sqlx::Type<R::Database>,)*
        {
            fn from_row(row: &'r R) -> ::core::result::Result<Self, $crate::sqlx::Error> {
                ::core::result::Result::Ok(Self {
                    $($field: $crate::sqlx::Row::try_get(row, stringify!($field))?),*
                })
            }
        }
    };
}

/// Reads a type from a column of another type.
macro_rules! column {
    ($type:ty, from $column:ty, $read:expr) => {
        impl<'r, DB: Database> Decode<'r, DB> for $type
        where
            $column: Decode<'r, DB>,
        {
            fn decode(value: DB::ValueRef<'r>) -> Result<Self, BoxDynError> {
                let value = <$column as Decode<'r, DB>>::decode(value)?;
                let read: fn($column) -> Result<Self, BoxDynError> = $read;
                read(value)
            }
        }

        impl<DB: Database> Type<DB> for $type
        where
            $column: Type<DB>,
        {
            fn type_info() -> DB::TypeInfo {
                <$column as Type<DB>>::type_info()
            }

            fn compatible(info: &DB::TypeInfo) -> bool {
                <$column as Type<DB>>::compatible(info)
            }
        }
    };
}

/// An id, as `{text(id)}` gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Id(pub(crate) Uuid);

column!(Id, from String, |text| Ok(Self(Uuid::parse_str(&text)?)));

/// A time, as `{micros(at)}` gives it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Time(pub(crate) Timestamp);

column!(Time, from i64, |micros| Ok(Self(Timestamp::from_microsecond(micros)?)));

/// A number that is never negative; a negative value is read as zero.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Number(pub(crate) u32);

column!(Number, from i32, |number| Ok(Self(u32::try_from(number).unwrap_or_default())));

column!(DeliveryState, from String, |text| {
    Self::read(&text).ok_or_else(|| format!("unknown state `{text}`").into())
});
