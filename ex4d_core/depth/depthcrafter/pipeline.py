"""DepthCrafter: temporally consistent disparity of a clip of any length and size.

Source: DepthCrafter (arXiv 2409.02095) as EX-4D runs it: 5 steps, no guidance, windows of 110 frames with 25 shared.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, TypeVar

import torch
from torch import Tensor

from ...errors import Cancelled, EX4DError
from ...machine.cancel import unless_cancelled
from ...machine.memory import out_of_memory
from ...published import (
    DEPTH_GUIDANCE,
    DEPTH_OVERLAP,
    DEPTH_SEED,
    DEPTH_SIZE_LIMIT,
    DEPTH_STEPS,
    DEPTH_WINDOW,
)
from ...storage.scratch import is_large, set_aside
from ..clip import DepthClip
from . import frames as pictures
from . import networks as nets
from . import schedule
from .feed import Feed, Landing
from .lane import Lane
from .loading import Networks, check_packages, load_networks
from .memory import (
    Execution,
    MemoryChoice,
    MemoryMode,
    Placement,
    TorchPlacement,
    choose_mode,
    next_mode,
    parameter_bytes,
)

DECODE_FRAMES = 8
"""Frames decoded together, counted from the clip's first. The decoder mixes them, so another number is another result."""

CLIP_FRAMES = 8

log = logging.getLogger(__name__)
Result = TypeVar("Result")
Progress = Callable[[int, int], None]


def default_device() -> torch.device:
    """CUDA, else Apple's MPS, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def default_dtype(device: torch.device) -> torch.dtype:
    """float16 on a GPU, float32 on the CPU."""
    return torch.float32 if device.type == "cpu" else torch.float16


@dataclass(frozen=True)
class StepResult:
    """What a step of a window leaves behind, for a live view and for tests.

    Attributes:
        window, step: counted from 0.
        latents: (n, 4, h, w) float32 after the step.
        denoised: (n, 4, h, w) float32, the network's estimate of the result.
    """

    window: schedule.Window
    step: int
    latents: Tensor
    denoised: Tensor

    def preview(self) -> Tensor:
        """(n, h, w) rough disparity in 0..1 at an eighth of the working size."""
        return pictures.preview_disparity(self.denoised)


@dataclass
class _Run:
    """One call's settings and its way through the memory modes."""

    placement: Placement
    mode: MemoryMode
    total: int
    progress: Progress | None
    cancel: Callable[[], bool] | None
    warn: Callable[[str], None]
    done: int = 0
    fell_back: bool = False
    held: ExitStack = field(default_factory=ExitStack)
    holding: set[str] = field(default_factory=set)
    lane: Lane | None = None

    def poll(self) -> None:
        if self.cancel is not None and self.cancel():
            raise Cancelled

    def advance(self) -> None:
        self.done += 1
        if self.progress is not None:
            self.progress(self.done, self.total)

    def release(self) -> None:
        self.held.close()
        self.holding.clear()

    def execution(self) -> Execution:
        device = self.placement.device
        if self.lane is None and self.mode.stream_weights and device.type == "cuda":
            self.lane = Lane(device)
        return Execution(device, self.mode, self.poll, self.lane)


class DepthCrafter:
    """DepthCrafter on stock diffusers networks.

    Args:
        networks: see ``load_networks``.
        placement: where networks live and how much memory there is; plain torch on ``device`` by default.
        device: default device of the plain placement.
    """

    def __init__(
        self, networks: Networks, placement: Placement | None = None, device: torch.device | str | None = None
    ):
        self.networks = networks
        self.placement = placement or TorchPlacement(device or default_device())
        unet: Any = networks.unet
        self.dtype: torch.dtype = unet.conv_in.weight.dtype

    @classmethod
    def from_pretrained(
        cls,
        unet: str | os.PathLike[str] | None = None,
        base: str | os.PathLike[str] | None = None,
        *,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
        folder: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | None = None,
        revision: str | None = None,
        offline: bool = False,
        placement: Placement | None = None,
        progress: Progress | None = None,
        cancel: Callable[[], bool] | None = None,
    ) -> DepthCrafter:
        """Load from local folders or Hugging Face ids.

        Args:
            unet: DepthCrafter's folder in diffusers' layout, or a repository id, which is looked for in ``folder`` and
                downloaded there. None is the published one, tencent/DepthCrafter.
            base: likewise, of Stable Video Diffusion img2vid.
            dtype: float16 or float32; None is float16 on a GPU and float32 on the CPU. Never taken from the files.
            device: None is the best there is.
            folder: one or several folders that ids are looked for in; downloads go to the first. None is
                ``models/depthcrafter`` in the working directory.
            revision: commit, branch or tag of the UNet's repository; None is the pinned one.
            offline: never download; a missing file is an error that lists what to put where.
            placement: see the class.
            progress: called with (bytes done, bytes in all) of a download.
            cancel: stops a download, which a later call resumes, and the reading of files.

        Raises:
            EX4DError: see ``load_networks`` and ``download.fetch``.
            Cancelled: ``cancel`` returned True.
        """
        from .download import BASE_ID, UNET_ID, resolve

        check_packages()
        place = placement or TorchPlacement(device or default_device())
        folders = resolve(
            str(unet or UNET_ID),
            str(base or BASE_ID),
            folder=folder,
            revision=revision,
            offline=offline,
            progress=progress,
            cancel=cancel,
        )
        dtype = dtype or default_dtype(place.device)
        return cls(unless_cancelled(lambda: load_networks(*folders, dtype), cancel), place)

    @property
    def device(self) -> torch.device:
        """Where the work is done."""
        return self.placement.device

    @torch.inference_mode()
    def __call__(
        self,
        frames: Tensor,
        steps: int = DEPTH_STEPS,
        guidance: float = DEPTH_GUIDANCE,
        window: int = DEPTH_WINDOW,
        overlap: int = DEPTH_OVERLAP,
        seed: int = DEPTH_SEED,
        noise: tuple[Tensor, Tensor] | None = None,
        *,
        size_limit: int = DEPTH_SIZE_LIMIT,
        memory: MemoryChoice = "auto",
        progress: Progress | None = None,
        cancel: Callable[[], bool] | None = None,
        on_step: Callable[[StepResult], None] | None = None,
        warn: Callable[[str], None] | None = None,
    ) -> Tensor:
        """Raw disparity of a clip.

        Args:
            frames: (T, H, W, 3) float 0..1 or uint8, on any device; read a few at a time.
            steps: denoising steps, >= 1.
            guidance: 1 = none; above 1 a second, unconditional pass per step.
            window: frames denoised together.
            overlap: frames that neighbouring windows share, 1 <= overlap < window.
            seed: of the noise, drawn on the device in the networks' dtype as the published code does.
            noise: (noise_aug (T, 3, h, w), noise_latents (1, min(T, window), 4, h/8, w/8)) instead of the seed's,
                h and w the working size.
            size_limit: longest side of the working size, which has sides divisible by 64.
            memory: "auto", "speed", "balanced" or "low"; the result is the same.
            progress: called with (done, total) pieces of work.
            cancel: polled several times a second; True stops.
            on_step: called after each step of each window.
            warn: told when memory ran out and a more frugal mode took over; None logs it.

        Returns:
            (T, H, W) float32 on the CPU, 0..1, larger = nearer: the channel mean before the clip is normalised.

        Raises:
            EX4DError: bad input, or not enough memory in any mode.
            Cancelled: ``cancel`` returned True.
        """
        frames = pictures.check_frames(frames)
        count, height, width, _ = frames.shape
        size = pictures.working_size(height, width, size_limit)
        if guidance < 1:
            raise EX4DError(f"Guidance must be at least 1 (1 = none), got {guidance:g}.")
        sigmas = schedule.noise_levels(steps)
        plan = schedule.windows(count, window, overlap)
        longest = len(plan[0])
        mode = choose_mode(memory, self.placement.free_bytes(), lambda m: self.needed_bytes(m, longest, size))
        decodes = -(-count // DECODE_FRAMES)
        run = _Run(self.placement, mode, count + len(plan) * steps + decodes, progress, cancel, warn or log.warning)
        noise_aug, noise_latents = self._noise(noise, seed, count, longest, size, mode)
        log.info(
            "DepthCrafter: %d frames at %dx%d, %d windows, memory mode %s", count, *size[::-1], len(plan), mode.name
        )
        with run.held:
            tokens, conditioning = self._encode(frames, size, noise_aug, run)
            del noise_aug
            latents = self._denoise(conditioning, tokens, noise_latents, plan, overlap, sigmas, guidance, on_step, run)
            disparity = self._decode(latents, run)
        return pictures.restore_size(disparity, height, width)

    def depth_clip(self, frames: Tensor, **options: Any) -> DepthClip:
        """Depth of a clip as EX-4D uses it, with the range of the disparity it came from; options as in ``__call__``.

        Raises:
            EX4DError: also where the disparity is the same everywhere, which holds no depth.
        """
        # An ordinary tensor over the same memory: one made in inference mode could not be written over.
        disparity = torch.from_numpy(self(frames, **options).numpy())
        return DepthClip.from_disparity(disparity, in_place=True)

    def needed_bytes(self, mode: MemoryMode, frames: int, size: tuple[int, int]) -> int:
        """An upper estimate of the device memory of a mode.

        Args:
            mode: how the networks are run.
            frames: length of the longest window.
            size: working (height, width).
        """
        weights = {name: parameter_bytes(module) for name, module in self.networks.parts().items()}
        needs = []
        for part, own in weights.items():
            held = sum(weights.values()) if mode.keep_networks else own
            if part == "unet" and mode.stream_weights:
                held = own // 6  # the largest block
            needs.append(held + self._working_bytes(part, mode, frames, size))
        return max(needs) + 512 * 2**20

    def _working_bytes(self, part: str, mode: MemoryMode, frames: int, size: tuple[int, int]) -> int:
        """What a stage takes beside its weights: full tensors that live at once, and one piece's temporaries.

        The factors are fitted to measured peaks at 49 and 110 frames of 576x1024, rounded up.
        """
        pixels = size[0] * size[1]
        temporaries = mode.piece_bytes * 5 // 4
        if part == "unet":
            unet: Any = self.networks.unet
            largest = frames * (pixels // 64) * unet.config.block_out_channels[0] * unet.conv_in.weight.element_size()
            return int((3.4 if mode.skips_on_host else 5.2) * largest) + temporaries
        if part == "decoder":
            decoder: Any = self.networks.decoder
            channels, element = decoder.conv_norm_out.num_channels, decoder.conv_out.weight.element_size()
            return int(3.2 * DECODE_FRAMES * pixels * channels * element) + temporaries
        if part == "encoder":
            return int(mode.encode_frames * 3.6 * pixels * 128 * 4)
        return CLIP_FRAMES * pixels * 3 * 4 * 4

    def _noise(
        self,
        given: tuple[Tensor, Tensor] | None,
        seed: int,
        count: int,
        longest: int,
        size: tuple[int, int],
        mode: MemoryMode,
    ) -> tuple[Tensor, Tensor]:
        """Noise for the frames (T, 3, H, W), and for the longest window's latents (W, 4, h, w) in float32."""
        shapes = ((count, 3, *size), (1, longest, 4, size[0] // 8, size[1] // 8))
        if given is None:
            generator = torch.Generator(self.device).manual_seed(seed)
            # Both draws come from one stream, so the first must be drawn whole before the second.
            try:
                draws = (torch.randn(s, generator=generator, device=self.device, dtype=self.dtype) for s in shapes)
                first, second = (draw if self._keeps(draw, mode) else set_aside(draw) for draw in draws)
            except RuntimeError as error:
                if not out_of_memory(error):
                    raise
                raise EX4DError(
                    f"There is no memory for the noise of {count} frames at {size[1]}x{size[0]}; choose a smaller size "
                    "limit or split the clip."
                ) from error
            return first, second[0].float()
        first, second = (torch.as_tensor(part) for part in given)
        for part, shape, name in ((first, shapes[0], "noise_aug"), (second, shapes[1], "noise_latents")):
            if tuple(part.shape) != shape:
                raise EX4DError(f"The given {name} has shape {tuple(part.shape)}, this clip needs {shape}.")
        return first, second[0].float()

    def _keeps(self, noise: Tensor, mode: MemoryMode) -> bool:
        """Whether noise stays on the device: that of a long clip would take more there than the networks' work."""
        return mode.keep_networks and not is_large(noise)

    def _encode(self, frames: Tensor, size: tuple[int, int], noise_aug: Tensor, run: _Run) -> tuple[Tensor, Tensor]:
        """(T, 1, D) image tokens of the clean frames, and (T, 4, h, w) latents of the noisy ones, on the CPU."""
        # Apple's MPS learnt antialiased and bicubic resizing late; there, pictures are resized on the CPU.
        feed = Feed(frames, torch.device("cpu") if self.device.type == "mps" else self.device)
        return self._tokens(feed, size, run)[:, None], self._latents(feed, size, noise_aug, run)

    def _tokens(self, feed: Feed, size: tuple[int, int], run: _Run) -> Tensor:
        """(T, D) image tokens, on the CPU."""

        def embed(first: int, last: int) -> Landing:
            signed = pictures.signed_frames(feed.read(first, last), size)
            pixels = pictures.clip_pixels(signed).to(self.device, self.dtype)
            self._hold("clip", size, len(pixels), run)
            return Landing(nets.embed(self.networks.clip, pixels))

        pieces = self._in_turn(len(feed.frames), lambda: CLIP_FRAMES, embed, run, feed.ahead)
        return torch.cat([tokens for _, _, (tokens,) in pieces])

    def _latents(self, feed: Feed, size: tuple[int, int], noise_aug: Tensor, run: _Run) -> Tensor:
        """(T, 4, h, w) float32 latents of the frames with noise, on the CPU."""
        encoder: Any = self.networks.encoder
        count = len(feed.frames)

        def latents_of(noisy: Tensor, dtype: torch.dtype) -> Tensor:
            self._hold("encoder", size, len(noisy), run)
            made = nets.encode(encoder["encoder"], encoder["quant_conv"], noisy.to(dtype), run.execution())
            return made.float()

        def noisy(first: int, last: int) -> Tensor:
            pixels = pictures.signed_frames(feed.read(first, last), size).to(self.device)
            return pixels + schedule.NOISE_AUGMENTATION * noise_aug[first:last].to(self.device, torch.float32)

        def encode(first: int, last: int) -> Landing:
            latents = latents_of(noisy(first, last), self.dtype)
            return Landing(latents, latents.isfinite().all())

        def again(first: int, last: int) -> Tensor:
            # More than float16 can hold in between: the same in the weights' own type, a frame at a time for its memory.
            own = encoder["quant_conv"].weight.dtype
            frames = [noisy(n, n + 1) for n in range(first, last)]
            return torch.cat([self._guarded(lambda frame=frame: latents_of(frame, own), run).cpu() for frame in frames])

        latents = torch.empty((count, 4, size[0] // 8, size[1] // 8), dtype=torch.float32)
        together = lambda: run.mode.encode_frames * 4 // self.dtype.itemsize  # noqa: E731
        for first, last, (part, finite) in self._in_turn(count, together, encode, run, feed.ahead):
            latents[first:last] = part if finite else again(first, last)
            for _ in range(first, last):
                run.advance()
        return latents

    def _in_turn(
        self,
        count: int,
        together: Callable[[], int],
        work: Callable[[int, int], Landing],
        run: _Run,
        prepare: Callable[[int, int], None] | None = None,
    ) -> Iterator[tuple[int, int, list[Tensor]]]:
        """Pieces of a clip, worked on in order. On a card one is read when the work on the next is queued.

        Args:
            count: frames of the clip.
            together: frames of the next piece; fewer, once memory has run out.
            work: queues the work on frames first:last.
            run: this call.
            prepare: called with the next piece when the work on one is queued.

        Yields:
            (first, last, results on the CPU).
        """
        queued: tuple[int, int, Landing] | None = None
        first = 0
        while first < count:
            run.poll()
            last, landing = self._guarded(
                lambda first=first: (last := min(first + together(), count), work(first, last)), run
            )
            if prepare is not None:
                prepare(last, min(last + together(), count))
            if queued is not None:
                yield queued[0], queued[1], queued[2].read()
                queued = None
            if landing.made is None:
                yield first, last, landing.read()
            else:
                queued = (first, last, landing)
            first = last
        if queued is not None:
            yield queued[0], queued[1], queued[2].read()

    def _denoise(
        self,
        conditioning: Tensor,
        tokens: Tensor,
        noise: Tensor,
        plan: list[schedule.Window],
        overlap: int,
        sigmas: Tensor,
        guidance: float,
        on_step: Callable[[StepResult], None] | None,
        run: _Run,
    ) -> Tensor:
        """(T, 4, h, w) float32 latents of the whole clip, on the device."""
        levels = [float(s) for s in sigmas]
        start = noise.to(self.device) * schedule.initial_scale()
        finished: Tensor | None = None
        for window in plan:
            latents = schedule.window_noise(start, window, overlap)
            if finished is not None:
                latents = schedule.start_from_finished(latents, finished, window)
            part = conditioning[window.start : window.stop].to(self.device)
            seen = tokens[window.start : window.stop].to(self.device)
            for step, (sigma, next_sigma) in enumerate(pairwise(levels)):
                denoised = self._guarded(
                    lambda latents=latents, sigma=sigma, part=part, seen=seen: self._estimate(
                        latents, part, seen, sigma, guidance, run
                    ),
                    run,
                )
                latents = schedule.euler_step(latents, denoised, sigma, next_sigma)
                # Work on a GPU is queued; reading one number waits for it, so that progress tells the truth.
                float(latents.view(-1)[0])
                if on_step is not None:
                    on_step(StepResult(window, step, latents, denoised))
                run.advance()
            finished = schedule.stitch(finished, latents, window)
        assert finished is not None
        return finished

    def _estimate(
        self, latents: Tensor, conditioning: Tensor, tokens: Tensor, sigma: float, guidance: float, run: _Run
    ) -> Tensor:
        """The network's noise-free estimate at one noise level, (n, 4, h, w) float32."""
        size = (latents.shape[2] * 8, latents.shape[3] * 8)
        scaled = schedule.scale_input(latents, sigma)

        def forward(condition: Tensor, seen: Tensor) -> Tensor:
            sample = torch.cat([scaled, condition.to(scaled.dtype)], dim=1)
            level = schedule.timestep(sigma)
            return nets.denoise(self.networks.unet, sample, level, seen, schedule.TIME_IDS, run.execution()).float()

        self._hold("unet", size, latents.shape[0], run)
        prediction = forward(conditioning, tokens)
        if guidance > 1:
            plain = forward(torch.zeros_like(conditioning), torch.zeros_like(tokens))
            prediction = plain + guidance * (prediction - plain)
        return schedule.denoised_estimate(latents, prediction, sigma)

    def _decode(self, latents: Tensor, run: _Run) -> Tensor:
        """(T, H, W) disparity on the CPU: channel mean of the clamped pictures."""
        decoder: Any = self.networks.decoder
        size = (latents.shape[2] * 8, latents.shape[3] * 8)
        result = torch.empty((latents.shape[0], *size), dtype=torch.float32)

        def decode(first: int, last: int) -> Landing:
            part = latents[first:last].to(self.dtype) / self.networks.scaling_factor
            self._hold("decoder", size, part.shape[0], run)
            picture = nets.decode(decoder, part, run.execution())
            return Landing((picture.float() * 0.5 + 0.5).clamp_(0, 1).mean(1))

        for first, last, (part,) in self._in_turn(len(latents), lambda: DECODE_FRAMES, decode, run):
            result[first:last] = part
            run.advance()
        return result

    def _hold(self, part: str, size: tuple[int, int], frames: int, run: _Run) -> None:
        """Bring a network to the device and, unless the mode keeps them, send the one before away.

        It stays until another is held or the call ends. A mode that streams the denoiser's weights leaves it where it is.
        """
        if part in run.holding:
            return
        if not run.mode.keep_networks:
            run.release()
        working = self._working_bytes(part, run.mode, frames, size)
        if part == "unet" and run.mode.stream_weights:
            self.placement.make_room(working)
        else:
            run.held.enter_context(self.placement.hold(self.networks.parts()[part], working))
        run.holding.add(part)

    def _guarded(self, work: Callable[[], Result], run: _Run) -> Result:
        """Do a piece of work; if memory runs out, do it again in the next mode, once per call."""
        try:
            return work()
        except RuntimeError as error:
            following = next_mode(run.mode)
            if not out_of_memory(error):
                raise
            if run.fell_back or following is None:
                raise EX4DError(
                    f"DepthCrafter ran out of memory in its {run.mode.name} mode; choose a smaller size limit or a "
                    "shorter window."
                ) from error
        # Outside the except clause, so that the failed attempt's tensors are no longer referenced by its traceback.
        run.fell_back = True
        run.warn(f"DepthCrafter ran out of memory in its {run.mode.name} mode and goes on in {following.name} mode.")
        run.mode = following
        run.release()
        self.placement.make_room(2**62)
        return self._guarded(work, run)
