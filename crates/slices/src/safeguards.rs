//! The rules that keep shared limits exact, each with a switch of the compiler.

/// The rules of the protocol. Production code keeps [`AllSafeguards`]; the simulation takes one away at a time, and must then
/// find a run that exceeds its limit.
pub trait Safeguards: Clone + Copy + Default + Send + Sync + 'static {
    /// True if a node spends the smaller of its two slices while it is unknown which of them the store has.
    const SMALLER_SLICE: bool = true;
    /// True if a slice ends at a time counted from before the call that asked for it.
    const END_FROM_ASK: bool = true;
    /// True if use is dated by the latest time that the clock may have, and forgotten by the earliest.
    const TIME_BOUNDS: bool = true;
    /// True if a slice of another node counts as used at its end until that use has left the window.
    const DEAD_SLICES_COUNT: bool = true;
    /// True if a refund is spent only after a swap has published it.
    const REFUNDS_PUBLISHED: bool = true;
    /// True if the use of a node is put into the store of a new generation before the node acknowledges it.
    const PUSH_GENERATION: bool = true;
    /// True if nothing is granted in a generation that is not open.
    const CLOSED_GENERATION: bool = true;
    /// True if use is moved by the step of the clock that began a generation.
    const CLOCK_SHIFT: bool = true;
    /// True if slices end.
    const SLICES_END: bool = true;
}

/// All rules.
#[derive(Clone, Copy, Debug, Default)]
pub struct AllSafeguards;

impl Safeguards for AllSafeguards {}
