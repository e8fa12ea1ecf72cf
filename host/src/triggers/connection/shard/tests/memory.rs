//! What a connection takes at rest: it has no buffers, so these sizes are all there is.

use super::super::{connection::Connection, handle::Link, joined::Member, wheel::Entry};

#[test]
fn a_connection_at_rest_takes_a_few_hundred_bytes() {
    // The connection, what it shares with its handles and the two counts beside that, its entry in
    // the wheel, its place in the slab, and its key in a channel.
    let shared = size_of::<Link>() + 2 * size_of::<usize>();
    let places = size_of::<Entry>() + 2 * size_of::<usize>() + size_of::<u32>();
    let all = size_of::<Connection>() + shared + places;
    println!("connection {}, shared {shared}, places {places}", size_of::<Connection>());
    assert!(all - size_of::<Member>() <= 320, "{all}");
    assert_eq!(size_of::<Member>(), 24);
}
