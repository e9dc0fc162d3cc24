//! What **erases** a person from the tables that the migrations make for channels. It stands beside the tables, so that it holds in
//! every binary, also where the channel is not linked.

/// Statements in the dialect of `campanile::Database::sql` for addresses that were of the user `$1` when they got into a table, also
/// if no address book knows them any more.
pub const ADDRESSES: &[&str] = &[
    "select address from {campanile}email_suppressions where user_id = $1",
    "select address from {campanile}email_suspects where user_id = $1",
];

/// Keeps hashes in the place of addresses that `ERASE` is about to erase and that must not be written to any more, because somebody
/// complained or an operator said so. No hash is kept of an address that bounced, because it will bounce again. `$1` is a JSON
/// array of objects, the `address` and the `hash` of each form. The reason is erased with the address: it may name the person.
pub const KEEP: &[&str] = &["\
    insert into {campanile}email_suppressions as kept (address, reason, created_at, kind, expires_at) \
    select form.value ->> 'hash', 'erased', listed.created_at, coalesce(listed.kind, 'manual'), listed.expires_at \
    from {rows($1)} as form join {campanile}email_suppressions as listed on listed.address = form.value ->> 'address' \
    where (listed.kind in ('complaint', 'manual') or listed.kind is null and listed.reason not like 'bounced: %') \
        and (listed.expires_at is null or listed.expires_at > {now}) \
    order by 1 on conflict (address) do update \
    set created_at = excluded.created_at, kind = excluded.kind, expires_at = excluded.expires_at \
    where kept.expires_at is not null and (excluded.expires_at is null or excluded.expires_at > kept.expires_at)"];

/// Which of the hashes `$1`, a JSON array, are kept, from this erasure or from one before it.
pub const KEPT: &[&str] =
    &["select address from {campanile}email_suppressions where address in (select {texts($1)})"];

/// Statements in the dialect of `campanile::Database::sql`: `$1` is the user, and where it occurs `$2` a JSON array of the
/// addresses that are the user's, in every form in which a table may hold one.
pub const ERASE: &[&str] = &[
    "delete from {campanile}notifications where user_id = $1",
    "delete from {campanile}email_suppressions where address in (select {texts($2)})",
    "delete from {campanile}email_suspects where address in (select {texts($2)})",
];
