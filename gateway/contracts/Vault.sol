// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {MessageCodec} from "./MessageCodec.sol";

/// Roles, peers, books, and the one rule of the money: payments come only out of what is neither
/// escrowed for an open message nor owed as a refund.
abstract contract Vault {
    struct Peer {
        bytes8 tag;
        bool registered;
        uint32 asset; // index into `assets`
        uint256 valueMax;
    }

    /// What was delivered here from a peer and there from here, in one asset.
    struct Book {
        uint256 received;
        uint256 sent;
    }

    /// Gas for a plain payment: enough for a wallet contract that logs it, too little for mischief.
    uint256 internal constant PAYMENT_GAS = 50_000;

    string public chainId;
    bytes8 public immutable tag;
    address public owner;
    mapping(address => bool) public isGateway;

    /// Names of assets; the first is this chain's own coin. Kept, so that the end of a message
    /// names the asset that it was sent in.
    string[] public assets;
    mapping(bytes32 => Peer) internal peers;
    mapping(bytes32 => Book) internal books;

    /// Sum of all open messages.
    uint256 public openEscrow;
    /// Sum of all refunds whose payment was refused.
    uint256 public owed;
    mapping(address => uint256) public claimable;

    bool private entered;

    event PeerSet(string chain, bytes8 tag, string asset, uint256 valueMax);
    event GatewaySet(address indexed gateway, bool active);
    event OwnerSet(address indexed owner);
    event Funded(address indexed by, uint256 amount);

    error NotOwner();
    error NotGateway();
    error NotAChainId();
    error NotAnAsset();
    error NoOwner();
    error Reentered();
    error PlainPayment();
    error PaymentRefused();

    modifier onlyOwner() {
        if (msg.sender != owner) revert NotOwner();
        _;
    }

    modifier onlyGateway() {
        if (!isGateway[msg.sender]) revert NotGateway();
        _;
    }

    /// Deliveries, ends and claims exclude each other. `send` is left out on purpose: a recipient
    /// may answer from within its call.
    modifier locked() {
        if (entered) revert Reentered();
        entered = true;
        _;
        entered = false;
    }

    constructor(string memory chain, bytes8 genesisTag, address firstOwner) {
        if (!MessageCodec.isChainId(bytes(chain))) revert NotAChainId();
        if (firstOwner == address(0)) revert NoOwner();
        chainId = chain;
        tag = genesisTag;
        owner = firstOwner;
        assets.push(string.concat(chain, "/coin"));
        emit OwnerSet(firstOwner);
    }

    /// A plain payment names no recipient: it would be lost.
    receive() external payable {
        revert PlainPayment();
    }

    function setOwner(address next) external onlyOwner {
        if (next == address(0)) revert NoOwner();
        owner = next;
        emit OwnerSet(next);
    }

    function setGateway(address gateway, bool active) external onlyOwner {
        isGateway[gateway] = active;
        emit GatewaySet(gateway, active);
    }

    /// Registers a chain, or changes what is agreed with it. Books are kept for each asset.
    function setPeer(string calldata chain, bytes8 peerTag, string calldata asset, uint256 valueMax)
        external
        onlyOwner
    {
        if (!MessageCodec.isChainId(bytes(chain))) revert NotAChainId();
        // A message that names another could be read by nobody: its sum would be locked for ever.
        if (!MessageCodec.isAsset(bytes(asset))) revert NotAnAsset();
        Peer storage peer = peers[packed(chain)];
        if (keccak256(bytes(assets[peer.asset])) != keccak256(bytes(asset))) {
            peer.asset = uint32(assets.length);
            assets.push(asset);
        }
        peer.registered = true;
        peer.tag = peerTag;
        peer.valueMax = valueMax;
        emit PeerSet(chain, peerTag, asset, valueMax);
    }

    /// Adds to the community's own float, which pays what arrives beyond what has left.
    function fund() external payable {
        emit Funded(msg.sender, msg.value);
    }

    /// Pays out a refund that was refused when it was pushed, wherever its owner wants it.
    function claim(address payable to) external locked {
        uint256 amount = claimable[msg.sender];
        claimable[msg.sender] = 0;
        owed -= amount;
        (bool ok,) = to.call{value: amount}("");
        if (!ok) revert PaymentRefused();
    }

    /// What the vault could pay now.
    function free() public view returns (uint256) {
        return address(this).balance - openEscrow - owed;
    }

    /// What is agreed with a chain; `registered` is false for a stranger.
    function peerOf(string calldata chain)
        external
        view
        returns (bool registered, bytes8 peerTag, string memory asset, uint256 valueMax)
    {
        Peer storage peer = peers[packed(chain)];
        return (peer.registered, peer.tag, assets[peer.asset], peer.valueMax);
    }

    /// The book kept with a chain in one asset.
    function bookOf(string calldata chain, string calldata asset)
        external
        view
        returns (uint256 received, uint256 sent)
    {
        Book storage book = books[bookKey(packed(chain), asset)];
        return (book.received, book.sent);
    }

    /// Pays without passing on more than `PAYMENT_GAS` or reading what comes back.
    function pay(address to, uint256 amount) internal returns (bool ok) {
        uint256 gasLimit = PAYMENT_GAS;
        assembly ("memory-safe") {
            ok := call(gasLimit, to, amount, 0, 0, 0, 0)
        }
    }

    /// A chain-id fits one word; none holds a zero byte, so the length is not lost.
    function packed(string memory chain) internal pure returns (bytes32 word) {
        if (bytes(chain).length > 32) revert NotAChainId();
        assembly ("memory-safe") {
            word := mload(add(chain, 32))
        }
        uint256 unused = 8 * (32 - bytes(chain).length);
        return unused == 256 ? bytes32(0) : (word >> unused) << unused;
    }

    function unpacked(bytes32 word) internal pure returns (string memory) {
        uint256 length;
        while (length < 32 && word[length] != 0) length++;
        bytes memory out = new bytes(length);
        for (uint256 i = 0; i < length; i++) out[i] = word[i];
        return string(out);
    }

    function bookKey(bytes32 chain, string memory asset) internal pure returns (bytes32) {
        return keccak256(abi.encode(chain, asset));
    }
}
