// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Clerk} from "./Clerk.sol";
import {Roles} from "./Roles.sol";
import {Text} from "./Text.sol";
import {Tokens} from "./Tokens.sol";

/// Peers, accounts, books, and the one rule of the money: payments come only out of what is neither
/// escrowed for an open message nor owed as a refund. Token 0 is the chain's own coin.
///
/// Sums are kept in 128 bits, two a word. Nothing above is taken in or paid out, and a limit above
/// is no limit.
abstract contract Vault is Roles {
    struct Peer {
        bytes8 tag;
        uint64 sequence; // the last number given to a message to it
        bool registered;
    }

    /// An account with a peer in one asset.
    struct Account {
        address token;
        uint64 windowSeconds; // 0: no window
        bool open;
        uint128 valueMax;
        uint128 windowMax;
        // The book: delivered here from the peer, and there from here.
        uint128 received;
        uint128 sent;
        // What of the window is used, times `windowSeconds` so that nothing is rounded, at a time.
        uint192 used;
        uint64 usedAt;
    }

    /// What of a token is not free.
    struct Held {
        uint128 escrow; // all open messages
        uint128 owed; // all refunds whose payment was refused
    }

    /// Gas for a plain payment: enough for a wallet contract that logs it, too little for mischief.
    uint256 internal constant PAYMENT_GAS = 50_000;
    /// Gas that a payment costs beside it: value, a new account, and what follows.
    uint256 internal constant PAYMENT_OVERHEAD = 50_000;

    Clerk internal immutable clerk = new Clerk();
    uint32 private constant COIN = 1;

    uint128 internal immutable own;
    uint256 internal immutable ownText;
    bytes8 public immutable tag;

    mapping(uint128 => Peer) internal peers;
    mapping(bytes32 => Account) internal accounts;
    mapping(address => Held) internal held;
    /// Refunds whose payment was refused, by account and token.
    mapping(address => mapping(address => uint256)) public claimable;
    /// Whether an account names this token: no message may call or pay it.
    mapping(address => bool) public isBacking;
    /// Names of assets, so that the end of a message names the asset that it was sent in. 0 is
    /// none, 1 this chain's own coin.
    mapping(uint32 => string) internal assets;
    mapping(bytes32 => uint32) private assetIndex;
    uint32 private assetLast = COIN;
    /// What a token is counted in towards a peer: an index into `assets`, 0 where nothing is said.
    mapping(uint128 => mapping(address => uint32)) private assetsFor;

    event PeerSet(string chain, bytes8 tag);
    event AccountSet(
        string chain,
        string asset,
        address indexed token,
        uint256 valueMax,
        uint256 windowMax,
        uint64 windowSeconds
    );
    event Funded(address indexed by, address indexed token, uint256 amount);

    error NotAChainId();
    error NotAnAsset();
    error OwnChain();
    error NoPeer();
    error NoAccount();
    error OtherToken();
    error TooMuch();
    error NothingArrived();
    error PlainPayment();
    error PaymentRefused();
    error NothingOwed();

    constructor(string memory chain, bytes8 genesisTag) {
        uint256 word;
        assembly ("memory-safe") {
            word := mload(add(chain, 32))
        }
        own = Text.chainOf(word, bytes(chain).length);
        if (own == 0) revert NotAChainId();
        uint256 unused = 256 - 8 * bytes(chain).length;
        ownText = (word >> unused) << unused;
        tag = genesisTag;
        string memory coin = string.concat(chain, "/coin");
        assets[COIN] = coin;
        assetIndex[keccak256(bytes(coin))] = COIN;
    }

    /// A plain payment names no recipient: it would be lost. Only a deposit that is being forwarded
    /// pays so.
    receive() external payable {
        if (!takingIn) revert PlainPayment();
    }

    /// Registers a chain, or changes its tag.
    function setPeer(string calldata chain, bytes8 peerTag) external onlyOwner {
        uint128 number = chainOf(chain);
        if (number == 0) revert NotAChainId();
        if (number == own) revert OwnChain();
        Peer storage peer = peers[number];
        peer.registered = true;
        peer.tag = peerTag;
        emit PeerSet(chain, peerTag);
    }

    /// Opens an account, or changes its limits; its token stays. What is sent in the token to the
    /// peer is counted in this asset from now on.
    function setAccount(
        string calldata chain,
        string calldata asset,
        address token,
        uint256 valueMax,
        uint256 windowMax,
        uint64 windowSeconds
    ) external onlyOwner locked {
        uint128 peer = chainOf(chain);
        if (!peers[peer].registered) revert NoPeer();
        // A message that names another could be read by nobody: its sum would be locked for ever.
        if (!clerk.isAsset(asset)) revert NotAnAsset();
        Account storage account = accountFor(peer, asset);
        // The own coin is sent without an account too: it is the coin, whoever opens one.
        uint32 index = indexOf(asset);
        if (token != account.token && (account.open || index == COIN)) revert OtherToken();
        settleWindow(account, windowSeconds);
        account.open = true;
        account.token = token;
        account.valueMax = capped(valueMax);
        account.windowMax = capped(windowMax);
        if (token != address(0)) isBacking[token] = true;
        assetsFor[peer][token] = index;
        emit AccountSet(chain, asset, token, valueMax, windowMax, windowSeconds);
    }

    /// Adds to the community's own float, which pays what arrives beyond what has left.
    function fund() external payable {
        emit Funded(msg.sender, address(0), msg.value);
    }

    /// The same in a token, of what the caller has allowed.
    function fundToken(address token, uint256 amount) external {
        emit Funded(msg.sender, token, takeToken(token, amount));
    }

    /// Pays out a refund that was refused when it was pushed, wherever its owner wants it.
    function claim(address token, address to) external {
        settle(msg.sender, token, to);
    }

    /// The same for an account that cannot ask for it, and to that account only; anybody may.
    function claimFor(address account, address token) external {
        settle(account, token, account);
    }

    /// Pays a debt, with all the gas that the caller gives.
    function settle(address account, address token, address to) private locked {
        uint256 amount = claimable[account][token];
        // Without a debt there is no reason to call what the caller says is a token.
        if (amount == 0) revert NothingOwed();
        claimable[account][token] = 0;
        held[token].owed -= uint128(amount);
        bool ok;
        if (token == address(0)) {
            assembly ("memory-safe") {
                ok := call(gas(), to, amount, 0, 0, 0, 0)
            }
        } else {
            ok = payToken(token, to, amount, false, false);
        }
        if (!ok) revert PaymentRefused();
    }

    /// This chain's id.
    function chainId() external view returns (string memory) {
        return Text.chainText(own);
    }

    /// What of a token the vault could pay now.
    function free(address token) external view returns (uint256) {
        return freeOf(token);
    }

    /// What open messages lock.
    function openEscrow(address token) external view returns (uint256) {
        return held[token].escrow;
    }

    /// What refused refunds wait for.
    function owed(address token) external view returns (uint256) {
        return held[token].owed;
    }

    /// Whether a chain is known, and its tag.
    function peerOf(string calldata chain) external view returns (bool registered, bytes8 peerTag) {
        Peer storage peer = peers[chainOf(chain)];
        return (peer.registered, peer.tag);
    }

    /// An account; `windowUsed` is what of its window is not free yet.
    function accountOf(string calldata chain, string calldata asset)
        external
        view
        returns (
            bool open,
            address token,
            uint256 valueMax,
            uint256 windowMax,
            uint64 windowSeconds,
            uint256 windowUsed
        )
    {
        Account storage a = accountFor(chainOf(chain), asset);
        (uint256 used, uint256 duration) = (usedNow(a), a.windowSeconds);
        windowUsed = duration == 0 ? 0 : (used + duration - 1) / duration;
        return (a.open, a.token, uncapped(a.valueMax), uncapped(a.windowMax), a.windowSeconds, windowUsed);
    }

    /// The book kept with a chain in one asset.
    function bookOf(string calldata chain, string calldata asset)
        external
        view
        returns (uint256 received, uint256 sent)
    {
        Account storage account = accountFor(chainOf(chain), asset);
        return (account.received, account.sent);
    }

    /// What a token is counted in when it is sent to a chain; empty where no account names it.
    function assetFor(string calldata chain, address token) external view returns (string memory) {
        return assets[assetIndexFor(chainOf(chain), token)];
    }

    /// Pays in the coin, without passing on more than `PAYMENT_GAS` or reading what comes back.
    function pay(address to, uint256 amount) internal returns (bool ok) {
        // EIP-150: with less left, the payment could fail for want of it.
        if (gasleft() < PAYMENT_GAS + PAYMENT_GAS / 63 + PAYMENT_OVERHEAD) revert Tokens.InsufficientGas();
        uint256 gasLimit = PAYMENT_GAS;
        assembly ("memory-safe") {
            ok := call(gasLimit, to, amount, 0, 0, 0, 0)
        }
    }

    /// Pays in a token. The vault never loses more than the amount; `exact` wants that the
    /// recipient has all of it. What was moved when it says no is the caller's to undo.
    function payToken(address token, address to, uint256 amount, bool exact, bool bounded)
        internal
        returns (bool)
    {
        (bool known, uint256 before) = Tokens.balanceOf(token, address(this));
        (bool knownTo, uint256 beforeTo) = exact ? Tokens.balanceOf(token, to) : (true, 0);
        if (!known || !knownTo || before < amount || !Tokens.transfer(token, to, amount, bounded)) return false;
        (bool knownLater, uint256 later) = Tokens.balanceOf(token, address(this));
        if (!knownLater || later < before - amount) return false;
        if (!exact) return true;
        (bool knownLaterTo, uint256 laterTo) = Tokens.balanceOf(token, to);
        return knownLaterTo && later == before - amount && laterTo >= beforeTo && laterTo - beforeTo == amount;
    }

    /// Takes what the caller has allowed, and says what really arrived.
    function takeToken(address token, uint256 amount) internal returns (uint256) {
        enterIntake();
        uint256 before = holding(token, address(this));
        if (!Tokens.transferFrom(token, msg.sender, address(this), amount)) revert NothingArrived();
        return arrived(token, before);
    }

    /// What has come since the vault held `before`; ends the intake.
    function arrived(address token, uint256 before) internal returns (uint256 amount) {
        uint256 later = holding(token, address(this));
        if (later <= before) revert NothingArrived();
        amount = later - before;
        if (amount > type(uint128).max) revert TooMuch();
        leaveIntake();
    }

    /// What an account holds; nothing of a token that does not say.
    function holding(address token, address account) internal view returns (uint256 balance) {
        if (token == address(0)) return account.balance;
        (, balance) = Tokens.balanceOf(token, account);
    }

    function freeOf(address token) internal view returns (uint256) {
        Held storage h = held[token];
        uint256 balance = holding(token, address(this));
        uint256 bound = uint256(h.escrow) + h.owed;
        return balance > bound ? balance - bound : 0;
    }

    /// Locks what an open message carries. Escrow and debts together fit 128 bits, so that a refund
    /// which turns one into the other cannot fail.
    function lockUp(address token, uint256 amount) internal {
        Held storage h = held[token];
        uint256 bound = uint256(h.escrow) + h.owed + amount;
        if (amount > type(uint128).max || bound > type(uint128).max) revert TooMuch();
        h.escrow += uint128(amount);
    }

    /// What of an account's window is used, times its length: it frees itself evenly.
    function usedNow(Account storage account) internal view returns (uint256) {
        uint256 used = account.used;
        uint256 freed = (block.timestamp - account.usedAt) * account.windowMax;
        return used > freed ? used - freed : 0;
    }

    /// What a token is sent as to a peer, an index into `assets`. The coin needs no account.
    function assetIndexFor(uint128 peer, address token) internal view returns (uint32 index) {
        index = assetsFor[peer][token];
        if (index == 0 && token == address(0)) index = COIN;
    }

    function accountFor(uint128 peer, string memory asset) internal view returns (Account storage) {
        return accounts[keccak256(abi.encodePacked(uint256(peer), asset))];
    }

    /// The number of a chain-id; 0 if it is none.
    function chainOf(string calldata chain) internal pure returns (uint128) {
        return Text.chainOf(uint256(bytes32(bytes(chain))), bytes(chain).length);
    }

    /// Keeps what is used of a window when its length changes.
    function settleWindow(Account storage account, uint64 next) private {
        uint256 used = usedNow(account);
        uint256 duration = account.windowSeconds;
        account.used = duration == 0 ? 0 : uint192((used + duration - 1) / duration * next);
        account.usedAt = uint64(block.timestamp);
        account.windowSeconds = next;
    }

    /// The index of an asset's name, new if need be.
    function indexOf(string calldata asset) private returns (uint32 index) {
        bytes32 name = keccak256(bytes(asset));
        index = assetIndex[name];
        if (index == 0) {
            index = ++assetLast;
            assetIndex[name] = index;
            assets[index] = asset;
        }
    }

    function capped(uint256 limit) private pure returns (uint128) {
        return limit > type(uint128).max ? type(uint128).max : uint128(limit);
    }

    function uncapped(uint128 limit) private pure returns (uint256) {
        return limit == type(uint128).max ? type(uint256).max : limit;
    }
}
