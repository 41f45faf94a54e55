// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Staff} from "./Staff.sol";
import {Text} from "./Text.sol";
import {Vault} from "./Vault.sol";

/// The part of `Distpos` that messages do not pass: roles, peers, accounts, deposits, settlements,
/// claims, and what can be read. `Distpos` has no room for it (EIP-170 ends a contract at 24,576
/// bytes) and hands on here what it does not know itself, by `delegatecall`: this code runs on its
/// storage, its balance and its address.
///
/// No storage of its own, before or after what `Vault` has: `build.js` compares the layouts. At its
/// own address it has no owner and no accounts, and what anybody may call is refused.
contract Office is Vault, Staff {
    address private immutable self = address(this);

    event PeerSet(string chain, bytes8 tag);
    event AccountSet(
        string chain,
        string asset,
        address indexed token,
        bytes32 terms,
        uint256 creditLimit,
        uint256 windowMax,
        uint64 windowSeconds
    );
    event Funded(address indexed by, address indexed token, uint256 amount);
    /// A deposit of anybody's, without a note; or what the owner has settled, with one.
    event ReserveChanged(string chain, string asset, address indexed by, int256 change, string note);

    error NotDistpos();
    error NotAnAsset();
    error NoPeer();
    error OtherToken();
    error OtherAmount();
    error NoChange();
    error NoNote();
    error NotAPayout();
    error ReserveShort();
    error FloatShort();
    error PaymentRefused();
    error NothingOwed();

    /// Keeps users from paying to this contract what is meant for `Distpos`.
    modifier atDistpos() {
        checkPlace();
        _;
    }

    constructor(string memory chain, bytes8 genesisTag) Vault(chain, genesisTag) {}

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

    /// Opens an account under terms, changes its terms or limits, or closes it (terms 0). Its token
    /// stays. What is sent in the token to the peer is counted in the account opened last; once that
    /// is closed, in the next one that is opened or set anew.
    function setAccount(
        string calldata chain,
        string calldata asset,
        address token,
        bytes32 terms,
        uint256 creditLimit,
        uint256 windowMax,
        uint64 windowSeconds
    ) external onlyOwner locked {
        uint128 peer = chainOf(chain);
        if (!peers[peer].registered) revert NoPeer();
        // A message that names another could be read by nobody: its sum would be locked for ever.
        if (!Text.isAsset(bytes(asset))) revert NotAnAsset();
        Account storage account = accountFor(peer, asset);
        // The own coin is sent without an account too: it is the coin, whoever opens one.
        uint32 index = indexOf(asset);
        if (token != account.token && (account.known || index == COIN)) revert OtherToken();
        // New limits of one must not move what is sent to it from another that is open.
        if (terms != 0 && (account.terms == 0 || !isNamed(peer, token))) assetsFor[peer][token] = index;
        settleWindow(account, windowSeconds);
        (account.known, account.token, account.terms) = (true, token, terms);
        account.creditLimit = capped(creditLimit);
        account.windowMax = capped(windowMax);
        if (token != address(0)) isBacking[token] = true;
        emit AccountSet(chain, asset, token, terms, creditLimit, windowMax, windowSeconds);
    }

    /// Adds to a peer's reserve here; anybody may, of the coin with the call, of a token by an
    /// allowance. What really arrives is counted.
    function deposit(string calldata chain, string calldata asset, uint256 amount) external payable atDistpos {
        Account storage account = accountFor(chainOf(chain), asset);
        if (account.terms == 0) revert NoAccount();
        address token = account.token;
        if (msg.value != (token == address(0) ? amount : 0)) revert OtherAmount();
        if (amount == 0) revert NothingArrived();
        if (token != address(0)) amount = takeToken(token, amount);
        uint256 before = coverOf(account);
        raise(account, amount);
        recount(account, token, before);
        emit ReserveChanged(chain, asset, msg.sender, int256(amount), "");
    }

    /// Books a settlement that happened elsewhere. Above zero, float becomes the peer's reserve.
    /// Below, the reserve shrinks: what of it is not spent can be paid to `to`; where that is 0, it
    /// becomes float. The note tells it from a deposit.
    function settle(string calldata chain, string calldata asset, int256 change, address to, string calldata note)
        external
        onlyOwner
        locked
    {
        Account storage account = accountFor(chainOf(chain), asset);
        // The own coin leaves without an account too, and what was closed is counted in one.
        if (!account.known && account.sent == 0) revert NoAccount();
        if (change == 0) revert NoChange();
        if (bytes(note).length == 0) revert NoNote();
        address token = account.token;
        uint256 before = coverOf(account);
        uint256 amount = magnitude(change);
        if (change > 0) {
            if (to != address(0)) revert NotAPayout();
            raise(account, amount);
            if (!affords(token, coverOf(account) - before, 0)) revert FloatShort();
        } else {
            // What has been spent of a reserve is not there to be given back.
            if (amount > account.reserve || (to != address(0) && amount > before)) revert ReserveShort();
            account.reserve -= uint128(amount);
            // Of a vault that has lost money nobody is paid first.
            if (to != address(0) && !affords(token, amount, amount)) revert FloatShort();
        }
        recount(account, token, before);
        emit ReserveChanged(chain, asset, msg.sender, change, note);
        if (to != address(0)) payOut(token, to, amount);
    }

    /// Adds to the community's own float, which pays what arrives beyond an account's cover.
    function fund() external payable atDistpos {
        emit Funded(msg.sender, address(0), msg.value);
    }

    /// The same in a token, of what the caller has allowed.
    function fundToken(address token, uint256 amount) external atDistpos {
        emit Funded(msg.sender, token, takeToken(token, amount));
    }

    /// Pays out a refund that was refused when it was pushed, wherever its owner wants it.
    function claim(address token, address to) external {
        payDebt(msg.sender, token, to);
    }

    /// The same for an account that cannot ask for it, and to that account only; anybody may.
    function claimFor(address account, address token) external {
        payDebt(account, token, account);
    }

    /// This chain's id.
    function chainId() external view returns (string memory) {
        return Text.chainText(own);
    }

    /// What of a token is neither locked nor owed: all covers, and the community's float.
    function free(address token) external view returns (uint256) {
        return freeOf(token);
    }

    /// What of it belongs to peers: the sum of the covers of all accounts in the token.
    function coveredOf(address token) external view returns (uint256) {
        return held[token].covered;
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
            bytes32 terms,
            uint256 creditLimit,
            uint256 windowMax,
            uint64 windowSeconds,
            uint256 windowUsed
        )
    {
        Account storage a = accountFor(chainOf(chain), asset);
        (uint256 used, uint256 duration) = (usedNow(a), a.windowSeconds);
        windowUsed = duration == 0 ? 0 : (used + duration - 1) / duration;
        (open, token, terms) = (a.terms != 0, a.token, a.terms);
        (creditLimit, windowMax, windowSeconds) = (uncapped(a.creditLimit), uncapped(a.windowMax), a.windowSeconds);
    }

    /// The figures kept with a chain in one asset, in its smallest unit.
    function bookOf(string calldata chain, string calldata asset)
        external
        view
        returns (uint256 reserve, uint256 received, uint256 sent, uint256 pendingOut)
    {
        Account storage a = accountFor(chainOf(chain), asset);
        return (a.reserve, a.received, a.sent, a.pendingOut);
    }

    /// What a token is counted in when it is sent to a chain; empty where no account names it.
    function assetFor(string calldata chain, address token) external view returns (string memory) {
        return assets[assetIndexFor(chainOf(chain), token)];
    }

    /// Pays a debt.
    function payDebt(address account, address token, address to) private locked {
        uint256 amount = claimable[account][token];
        // Without a debt there is no reason to call what the caller says is a token.
        if (amount == 0) revert NothingOwed();
        claimable[account][token] = 0;
        held[token].owed -= uint128(amount);
        payOut(token, to, amount);
    }

    /// Pays with all the gas that the caller gives.
    function payOut(address token, address to, uint256 amount) private {
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

    function raise(Account storage account, uint256 amount) private {
        uint256 sum = uint256(account.reserve) + amount;
        if (sum > type(uint128).max) revert TooMuch();
        account.reserve = uint128(sum);
    }

    /// Keeps what is used of a window when its length changes.
    function settleWindow(Account storage account, uint64 next) private {
        uint256 used = usedNow(account);
        uint256 duration = account.windowSeconds;
        account.used = duration == 0 ? 0 : uint192((used + duration - 1) / duration * next);
        account.usedAt = uint64(block.timestamp);
        account.windowSeconds = next;
    }

    /// Whether what is sent in a token to a peer is counted in an account that is open.
    function isNamed(uint128 peer, address token) private view returns (bool) {
        return accountFor(peer, assets[assetIndexFor(peer, token)]).terms != 0;
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

    function checkPlace() private view {
        if (address(this) == self) revert NotDistpos();
    }

    function magnitude(int256 change) private pure returns (uint256) {
        unchecked {
            return change < 0 ? uint256(-change) : uint256(change);
        }
    }

    function capped(uint256 limit) private pure returns (uint128) {
        return limit > type(uint128).max ? type(uint128).max : uint128(limit);
    }

    function uncapped(uint128 limit) private pure returns (uint256) {
        return limit == type(uint128).max ? type(uint256).max : limit;
    }
}
