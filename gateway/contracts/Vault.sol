// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Roles} from "./Roles.sol";
import {Text} from "./Text.sol";
import {Tokens} from "./Tokens.sol";

/// Peers, accounts, figures, and the rules of the money. Payments come only out of what is neither
/// escrowed for an open message nor owed as a refund; and what belongs to one peer (the cover of
/// its account) never pays for another. Token 0 is the chain's own coin.
///
/// Sums are kept in 128 bits, two a word. Nothing above is taken in or paid out, and a limit above
/// is no limit.
///
/// `Office` runs on the storage of `Distpos`: everything that both use is declared here and in
/// `Roles`, and nowhere before them.
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
        bool known; // it has been set; its token stays
        uint128 creditLimit;
        uint128 windowMax;
        uint128 received; // delivered here from the peer
        uint128 sent; // delivered there from here
        uint128 reserve; // the peer's deposit here
        uint128 pendingOut; // left for there, and not ended
        bytes32 terms; // the hash of what both sides signed; 0: closed
        // What of the window is used, times `windowSeconds` so that nothing is rounded, at a time.
        uint192 used;
        uint64 usedAt;
    }

    /// What of a token is spoken for.
    struct Held {
        uint128 escrow; // all open messages
        uint128 owed; // all refunds whose payment was refused
        uint256 covered; // the covers of all accounts: free, but not for others
    }

    /// Gas for a plain payment: enough for a wallet contract that logs it, too little for mischief.
    uint256 internal constant PAYMENT_GAS = 50_000;
    /// Gas that a payment costs beside it: value, a new account, and what follows.
    uint256 internal constant PAYMENT_OVERHEAD = 50_000;
    /// The index of this chain's own coin.
    uint32 internal constant COIN = 1;

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
    mapping(bytes32 => uint32) internal assetIndex;
    uint32 internal assetLast;
    /// What a token is counted in towards a peer: an index into `assets`, 0 where nothing is said.
    mapping(uint128 => mapping(address => uint32)) internal assetsFor;

    error NotAChainId();
    error OwnChain();
    error NoAccount();
    error TooMuch();
    error NothingArrived();
    error BalanceUnknown();

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

    /// What an account holds, where it is counted: a token that does not say is not taken for one
    /// that holds nothing, or all that was there before would count as arrived.
    function holding(address token, address account) internal view returns (uint256) {
        (bool known, uint256 balance) = told(token, account);
        if (!known) revert BalanceUnknown();
        return balance;
    }

    /// What an account holds, and whether that is known; 0 where it is not.
    function told(address token, address account) private view returns (bool known, uint256 balance) {
        return token == address(0) ? (true, account.balance) : Tokens.balanceOf(token, account);
    }

    /// What is neither locked nor owed: all covers, and the community's float. Nothing of a token that
    /// does not say.
    function freeOf(address token) internal view returns (uint256) {
        Held storage h = held[token];
        (, uint256 balance) = told(token, address(this));
        uint256 bound = uint256(h.escrow) + h.owed;
        return balance > bound ? balance - bound : 0;
    }

    /// Whether `amount` can go while the cover of its account falls by `drop`, so that what stays
    /// covers all accounts. What is beyond `drop` comes out of the float.
    function affords(address token, uint256 amount, uint256 drop) internal view returns (bool) {
        // A token may say that it holds 2^256 - 1: add nothing to what it says.
        return freeOf(token) >= held[token].covered - drop + amount;
    }

    /// Money here that is the peer's: what left for it and what it deposited, less what arrived.
    function coverOf(Account storage account) internal view returns (uint256) {
        unchecked {
            // Sums of numbers below 2^128.
            uint256 theirs = uint256(account.sent) + account.reserve;
            uint256 received = account.received;
            return theirs > received ? theirs - received : 0;
        }
    }

    /// Brings the sum of covers up to date after an account has changed; `before` was its cover.
    function recount(Account storage account, address token, uint256 before) internal {
        uint256 later = coverOf(account);
        if (later == before) return;
        Held storage h = held[token];
        h.covered = h.covered - before + later;
    }

    /// Locks what an open message carries. Escrow and debts together fit 128 bits, so that a refund
    /// which turns one into the other cannot fail.
    function lockUp(Account storage account, address token, uint256 amount) internal {
        Held storage h = held[token];
        uint256 bound = uint256(h.escrow) + h.owed + amount;
        if (amount > type(uint128).max || bound > type(uint128).max) revert TooMuch();
        h.escrow += uint128(amount);
        // A part of the escrow.
        account.pendingOut += uint128(amount);
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
}
