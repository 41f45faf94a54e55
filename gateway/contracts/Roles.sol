// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// Who may do what: the owner sets up, k of n gateways end messages, the pauser stops what is new.
abstract contract Roles {
    /// What a gateway approves, for one id.
    enum Action {
        Deliver,
        Void,
        Close,
        Refund
    }

    /// What counting an approval came to.
    enum Approval {
        Enough,
        Counted,
        Repeated
    }

    /// An account that is or was a gateway; its index is its bit, once for ever.
    struct Gateway {
        uint8 index;
        bool active;
    }

    address public owner;
    mapping(address => Gateway) private gateways;
    /// The bits of the active gateways. Only read where more than one must agree.
    uint256 private activeBits;

    // One word, read once a transaction: role, pause and lock.
    address public pauser;
    uint8 public required = 1;
    uint8 private indexLast;
    bool public paused;
    bool private entered;
    bool internal takingIn;

    /// Approvals of an id and an action that were not enough yet, as bits.
    mapping(bytes32 => uint256) private approvals;

    event OwnerSet(address indexed owner);
    event GatewaySet(address indexed gateway, bool active);
    event RequiredSet(uint8 required);
    event PauserSet(address indexed pauser);
    event Paused(address by);
    event Resumed(address by);
    /// Not enough gateways yet. `message` is its one encoding; empty where an id says all.
    event Approved(bytes32 indexed id, address indexed gateway, uint8 action, bytes message);

    error NotOwner();
    error NotGateway();
    error NotPauser();
    error NoOwner();
    error Required();
    error TooManyGateways();
    error IsPaused();
    error Reentered();

    modifier onlyOwner() {
        checkOwner();
        _;
    }

    modifier onlyGateway() {
        checkGateway();
        _;
    }

    modifier whenRunning() {
        checkRunning();
        _;
    }

    /// Deliveries, ends, claims and changes of accounts exclude each other. Sending is left out on
    /// purpose: a recipient may answer from within its call.
    modifier locked() {
        enter();
        _;
        entered = false;
    }

    constructor(address firstOwner) {
        if (firstOwner == address(0)) revert NoOwner();
        owner = firstOwner;
        emit OwnerSet(firstOwner);
    }

    function setOwner(address next) external onlyOwner {
        if (next == address(0)) revert NoOwner();
        owner = next;
        emit OwnerSet(next);
    }

    /// Gives or takes the role. Taking is always possible, a stolen key's even below `required`:
    /// then nothing moves until the owner has repaired it.
    function setGateway(address gateway, bool active) external onlyOwner {
        Gateway storage entry = gateways[gateway];
        if (active && entry.index == 0) {
            if (indexLast == type(uint8).max) revert TooManyGateways();
            entry.index = ++indexLast;
        }
        uint256 bit = entry.index == 0 ? 0 : 1 << entry.index;
        activeBits = active ? activeBits | bit : activeBits & ~bit;
        entry.active = active;
        emit GatewaySet(gateway, active);
    }

    /// How many gateways must agree before anything is delivered, void, closed or refunded.
    function setRequired(uint8 k) external onlyOwner {
        if (k == 0 || k > gatewayCount()) revert Required();
        required = k;
        emit RequiredSet(k);
    }

    function setPauser(address next) external onlyOwner {
        pauser = next;
        emit PauserSet(next);
    }

    /// Nothing new leaves and nobody is paid; refunds and claims go on.
    function pause() external {
        if (msg.sender != pauser && msg.sender != owner) revert NotPauser();
        paused = true;
        emit Paused(msg.sender);
    }

    function resume() external onlyOwner {
        paused = false;
        emit Resumed(msg.sender);
    }

    function isGateway(address account) external view returns (bool) {
        return gateways[account].active;
    }

    /// Active gateways.
    function gatewayCount() public view returns (uint256) {
        return ones(activeBits);
    }

    /// Whether a gateway has approved already and doing it again changes nothing. Where the owner
    /// has made fewer enough meanwhile, it does: a repetition ends the message then.
    function hasApproved(bytes32 id, Action action, address gateway) external view returns (bool) {
        uint256 bits = approvals[keccak256(abi.encode(id, action))];
        return bits >> gateways[gateway].index & 1 == 1 && ones(bits & activeBits) < required;
    }

    /// Counts the caller's approval where more than one must agree. A gateway that lost its role
    /// does not count, whatever it approved before.
    function approve(bytes32 id, Action action, bytes calldata message) internal returns (Approval) {
        uint256 k = required;
        if (k == 1) return Approval.Enough;
        bytes32 key = keccak256(abi.encode(id, action));
        uint256 before = approvals[key];
        uint256 bits = before | (1 << gateways[msg.sender].index);
        if (ones(bits & activeBits) >= k) return Approval.Enough;
        if (bits == before) return Approval.Repeated;
        approvals[key] = bits;
        emit Approved(id, msg.sender, uint8(action), message);
        return Approval.Counted;
    }

    /// Takings of tokens exclude each other: a token that calls back could have one sum counted
    /// twice. `leaveIntake` ends it.
    function enterIntake() internal {
        if (takingIn) revert Reentered();
        takingIn = true;
    }

    function leaveIntake() internal {
        takingIn = false;
    }

    function enter() private {
        // While a taking is counted, nothing may leave: it would be missing in the sum.
        if (entered || takingIn) revert Reentered();
        entered = true;
    }

    function checkOwner() private view {
        if (msg.sender != owner) revert NotOwner();
    }

    function checkGateway() private view {
        if (!gateways[msg.sender].active) revert NotGateway();
    }

    function checkRunning() private view {
        if (paused) revert IsPaused();
    }

    function ones(uint256 bits) private pure returns (uint256 count) {
        for (; bits != 0; bits &= bits - 1) count++;
    }
}
