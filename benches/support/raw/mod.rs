//! The floor: the same work for the kernel as hostnet gives it, in the same order, with nothing around it. A blocking
//! netlink socket, bytes put together by hand, no tables, no types, no checks beyond the answer's code.

mod address;
mod element;
mod gate;
mod link;
mod message;
mod namespace;
mod socket;
mod tap;

pub use address::Via;
pub use element::{Forward, Nft};
pub use gate::create_gate;
pub use link::{Dumped, Port, Route};
pub use message::Message;
pub use namespace::Namespace;
pub use socket::Socket;
pub use tap::Tap;
