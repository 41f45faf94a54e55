// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// Who may do what: the owner sets up, k of n gateways end messages, the pauser stops what is new.
/// Roles are given and taken in `Staff`.
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
    mapping(address => Gateway) internal gateways;
    /// The bits of the active gateways. Only read where more than one must agree.
    uint256 internal activeBits;

    // One word, read once a transaction: role, pause and lock.
    address public pauser;
    uint8 public required;
    uint8 internal indexLast;
    bool public paused;
    bool private entered;
    bool internal takingIn;

    /// Approvals of an id and an action that were not enough yet, as bits.
    mapping(bytes32 => uint256) internal approvals;

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

    function ones(uint256 bits) internal pure returns (uint256 count) {
        for (; bits != 0; bits &= bits - 1) count++;
    }
}
