"""The amodal SAM: encodes a frame once, and answers each prompt on it with the full shape of an instance."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from transformers import SamConfig
from transformers.models.sam.modeling_sam import SamPositionalEmbedding, SamPromptEncoder

from samodal.errors import InputError
from samodal.sam import images, storage
from samodal.sam.answers import Decoded, Engine, FrameEmbedding
from samodal.sam.config import AmodalSamConfig
from samodal.sam.decoder import MaskDecoder
from samodal.sam.encoder import ImageEncoder
from samodal.sam.initialise import initialise
from samodal.sam.lora import LoraOptions


class AmodalSam(nn.Module):
    """SAM, fine-tuned to answer a prompt on the visible part with the amodal mask (arXiv 2409.14095).

    Weights have the names of `transformers.SamModel`; the prompt encoder is transformers' own.
    A saved model without an adapter loads there as well, and the other way round.

    Args:
        config: sizes and adapter.
        seed: of the initial weights; None leaves them as they come.

    Attributes:
        engine: what `encode` and `decode` run on; None is torch.
        encoder_dtype: of the matrix products in the image encoder where they are not in `dtype`.
    """

    engine: Engine | None = None
    encoder_dtype: torch.dtype | None = None

    def __init__(self, config: AmodalSamConfig, seed: int | None = 0) -> None:
        super().__init__()
        self.config = config
        self.shared_image_embedding = SamPositionalEmbedding(config.vision_config)
        self.shared_image_embedding.requires_grad_(False)  # a constant in the original
        self.vision_encoder = ImageEncoder(config)
        self.prompt_encoder = SamPromptEncoder(config)
        self.prompt_encoder.shared_embedding = self.shared_image_embedding
        self.mask_decoder = MaskDecoder(config.mask_decoder_config)
        if seed is not None:
            initialise(self, torch.Generator().manual_seed(seed))

    # --- loading and saving ---

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | Path,
        adapter: str | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        seed: int = 0,
        adapter_dim: int | None = None,
        lora: LoraOptions | None = None,
    ) -> "AmodalSam":
        """Load a model that `save_pretrained` wrote, or one of transformers' `SamModel`.

        Args:
            name_or_path: "samodal-nano" (bundled), a folder, or a Hugging Face id (offline: from the cache).
            adapter: None keeps the adapter of the model. A model without one gets a new one of this kind; it
                changes no output until it is trained.
            device: None: CPU.
            dtype: None: float32, also where the file holds float16. Positions are float32 always.
            seed: of the weights of a new adapter.
            adapter_dim: inner width of a new adapter; None: its usual width.
            lora: of a new adapter "lora": its scale, and where it is put.

        Raises:
            InputError: no such model, or its weights do not fit its configuration or are not finite.
        """
        model = storage.load_folder(cls, name_or_path, adapter, adapter_dim, seed, lora)
        return storage.cast(model, device, dtype).eval()

    @classmethod
    def from_original(
        cls,
        source: str | Path | Mapping,
        adapter: str = "none",
        config: SamConfig | None = None,
        *,
        pad_before_norm: bool | None = None,
        new_adapter: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        seed: int = 0,
        adapter_dim: int | None = None,
        fresh_adapter: bool = False,
        lora: LoraOptions | None = None,
    ) -> "AmodalSam":
        """Load a checkpoint in the naming of segment-anything and S-AModal, of any size.

        Training checkpoints are unwrapped, position tables named `rel_h`, `rel_w` are found, modules that the
        original never uses are accepted. Every checkpoint of S-AModal carries a prompt generator, trained or not:
        without "sam-adapter" it is left out with a warning in the log. A file of `samodal export` tells its adapter and
        configuration itself. A file can never run code.

        Args:
            source: a .pth or .safetensors file, or a state dict.
            adapter: "none", "sam-adapter" or "medical-adapter" (the original's normal, samadpt, adapt), or "lora",
                which is always new.
            config: None: recognised from the shapes (see `checkpoints.recognise` for what cannot be).
            pad_before_norm: True repeats the arithmetic of the original's adapter block (`AmodalSamConfig`);
                None: as `config` says, or False.
            new_adapter: add a new adapter where the checkpoint has none; it changes no output until it is
                trained.
            device: None: CPU.
            dtype: None: float32.
            seed: of the weights of a new adapter.
            adapter_dim: inner width of a new adapter; None: its usual width.
            fresh_adapter: start with a new adapter also where the checkpoint has one.
            lora: of a new adapter "lora": its scale, and where it is put.

        Raises:
            InputError: the file cannot be read; or lists the weights that are missing, unexpected, of
                another shape or not finite.
        """
        model = storage.load_original(
            cls, source, adapter, config, pad_before_norm, new_adapter, fresh_adapter, adapter_dim, seed, lora
        )
        return storage.cast(model, device, dtype).eval()

    def to_original(self) -> dict[str, Tensor]:
        """The weights in the original's naming, as `from_original` reads them (copies, on the CPU).

        The original's code computes the same with them only where `mixed_embedding` and `pad_before_norm` are
        True in the configuration, or concern another adapter. LoRA is merged into the matrices that it changes.
        """
        return storage.to_original(self)

    def save_pretrained(
        self, folder: str | Path, dtype: torch.dtype | None = None, merged: bool = False
    ) -> None:
        """Write `config.json` and `model.safetensors`, each all of it or nothing.

        Args:
            folder: made where it is missing.
            dtype: of the weights in the file (torch.float16 halves it) but the positions; None: as they are.
            merged: merge LoRA into the matrices that it changes, so that a plain SAM is written. Other adapters are
                not of that kind and stay.
        """
        storage.save(self, folder, dtype, merged)

    # --- what it is ---

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.prompt_encoder.no_mask_embed.weight.device

    @property
    def dtype(self) -> torch.dtype:
        """Type of the weights."""
        return self.prompt_encoder.no_mask_embed.weight.dtype

    @property
    def image_size(self) -> int:
        """Side S of the square input in pixels."""
        return self.config.vision_config.image_size

    def forward(
        self,
        pixels: Tensor | None = None,
        points: Tensor | None = None,
        labels: Tensor | None = None,
        boxes: Tensor | None = None,
        mask_prompts: Tensor | None = None,
        embeddings: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """`encode_pixels`, then `low_res_logits`: what training calls, on one device or many.

        Of `pixels` and `embeddings` (what `encode_pixels` gave for them) one is needed.

        Raises:
            InputError: neither is given.
        """
        if pixels is not None:
            embeddings = self.encode_pixels(pixels)
        elif embeddings is None:
            raise InputError("pixels or embeddings are needed")
        return self.low_res_logits(embeddings, points, labels, boxes, mask_prompts)

    # --- encoding ---

    def encode_pixels(self, pixels: Tensor) -> Tensor:
        """Encode normalised and padded pixels (B, 3, S, S) of any device -> (B, C, S/16, S/16). Differentiable."""
        side = self.image_size
        if pixels.ndim != 4 or pixels.shape[1:] != (3, side, side):
            raise InputError(f"pixels must be (B, 3, {side}, {side}), not {tuple(pixels.shape)}")
        pixels = pixels.to(self.device, self.dtype)
        if self.encoder_dtype is None:
            return self.vision_encoder(pixels)
        with torch.autocast(self.device.type, self.encoder_dtype):
            return self.vision_encoder(pixels)

    def encode_in(self, dtype: torch.dtype) -> "AmodalSam":
        """Do the matrix products of the encoder's blocks in 16 bits, from now on; sums and norms stay as they are."""
        for part in self.vision_encoder.layers.modules():
            if isinstance(part, nn.Linear):
                part.to(dtype)
        self.encoder_dtype = dtype
        return self

    @torch.no_grad()
    def encode(self, frame: np.ndarray) -> FrameEmbedding:
        """Encode one frame, to be used for all its instances.

        Args:
            frame: uint8 (H, W, 3) RGB of any size.

        Raises:
            InputError: not such an array.
        """
        resized = images.resize_frame(frame, self.image_size)
        pixels = images.to_pixels(resized, self.image_size, self.device)
        encode = self.engine.encode if self.engine else self.encode_pixels
        return FrameEmbedding(encode(pixels[None])[0], frame.shape[:2], resized.shape[:2])

    @torch.no_grad()
    def encode_batch(self, frames: Sequence[np.ndarray], together: int = 1) -> list[FrameEmbedding]:
        """Encode several frames of any sizes.

        The company of a frame does not change a bit of it. Matrix products of other sizes add in another order, so
        every batch is of the same size: the last one is filled up.

        Args:
            frames: uint8 (H, W, 3) each.
            together: size of a batch; more than one pays on a GPU, and never on a CPU.

        Raises:
            InputError: a frame is not uint8 (H, W, 3).
        """
        if together == 1 or self.engine:
            return [self.encode(frame) for frame in frames]
        embeddings = []
        for start in range(0, len(frames), together):
            some = [images.resize_frame(frame, self.image_size) for frame in frames[start : start + together]]
            pixels = torch.zeros(together, 3, self.image_size, self.image_size, device=self.device)
            for place, resized in zip(pixels, some, strict=False):
                place.copy_(images.to_pixels(resized, self.image_size, self.device))
            sizes = [
                (frame.shape[:2], small.shape[:2]) for frame, small in zip(frames[start:], some, strict=False)
            ]
            encoded = self.encode_pixels(pixels)
            embeddings += [FrameEmbedding(one, *size) for one, size in zip(encoded, sizes, strict=False)]
        return embeddings

    # --- decoding ---

    def low_res_logits(
        self,
        embeddings: Tensor,
        points: Tensor | None = None,
        labels: Tensor | None = None,
        boxes: Tensor | None = None,
        mask_prompts: Tensor | None = None,
        multimask: bool = False,
    ) -> tuple[Tensor, Tensor]:
        """Decode N prompts on each of B images. Differentiable; coordinates in pixels of the resized frame.

        Args:
            embeddings: (B, C, g, g).
            points: (B, N, P, 2) as x, y.
            labels: (B, N, P), 1 on the object, 0 off it, -1 no point; needed with points.
            boxes: (B, N, 4) as x0, y0, x1, y1.
            mask_prompts: (B, N, 4g, 4g) logits.
            multimask: three masks a prompt instead of one.

        Returns:
            logits (B, N, C, 4g, 4g) and predicted IoU (B, N, C), float32; C is 1, or 3 with multimask.
        """
        return self._answer(images.rows(embeddings), points, labels, boxes, mask_prompts, multimask)

    def _answer(
        self,
        cells: Tensor,
        points: Tensor | None = None,
        labels: Tensor | None = None,
        boxes: Tensor | None = None,
        mask_prompts: Tensor | None = None,
        multimask: bool = False,
        positions: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """`low_res_logits` by the `rows` of the embeddings, and of `image_positions` where they are at hand."""
        if positions is None:
            positions = images.rows(self.image_positions())[0]
        tokens = self.prompt_tokens(points, labels, boxes)
        if mask_prompts is None:
            cells = (cells + self.prompt_encoder.no_mask_embed.weight)[:, None]
        else:
            hints = self.prompt_encoder.mask_embed(mask_prompts.to(self.dtype).flatten(0, 1)[:, None])
            cells = cells[:, None] + images.rows(hints).unflatten(0, mask_prompts.shape[:2])
        logits, scores = self.mask_decoder(cells, positions.to(self.dtype), tokens, multimask)
        return logits.float(), scores.float()

    def prompt_tokens(
        self, points: Tensor | None, labels: Tensor | None, boxes: Tensor | None
    ) -> Tensor | None:
        """Points and boxes as in `low_res_logits` -> tokens (B, N, P', C); None without any."""
        # Positions become phases of many turns: 16 bits would blur them.
        with torch.autocast(self.device.type, enabled=False):
            tokens, _ = self.prompt_encoder(points, labels, boxes, None)
        return None if tokens is None else tokens.to(self.dtype)

    def image_positions(self) -> Tensor:
        """Positional encoding of the image embedding's cells, float32 (1, C, g, g)."""
        grid = self.prompt_encoder.image_embedding_size[0]
        centres = (torch.arange(grid, device=self.device) + 0.5) / grid
        cells = torch.stack(torch.meshgrid(centres, centres, indexing="xy"), dim=-1)
        with torch.autocast(self.device.type, enabled=False):
            return self.shared_image_embedding(cells).permute(2, 0, 1)[None]

    @torch.no_grad()
    def decode(
        self,
        emb: FrameEmbedding,
        points: images.Values | None = None,
        labels: images.Values | None = None,
        boxes: images.Values | None = None,
        mask_prompts: images.Values | None = None,
        multimask: bool = False,
        chunk: int = 8,
    ) -> Decoded:
        """Answer N prompts on one frame. Coordinates in pixels of the frame, x right, y down.

        Args:
            emb: from `encode`.
            points: (N, P, 2) as x, y; None with boxes or mask prompts.
            labels: (N, P), 1 on the object, 0 off it, -1 no point, whatever the coordinates; None: all 1.
                As in SAM, "no point" is a token of its own: a prompt padded with it gets nearly, not exactly,
                the answer of the prompt alone.
            boxes: (N, 4) as x0, y0, x1, y1.
            mask_prompts: (N, 4g, 4g) or (N, 1, 4g, 4g) logits, such as `low_res` of an earlier answer.
            multimask: three masks a prompt instead of one.
            chunk: prompts decoded at once, to bound memory; on a CPU always 1.

        Raises:
            InputError: no prompt at all, or arrays that do not fit together.
        """
        side = 4 * emb.embedding.shape[-1]
        prompts = images.input_prompts(
            emb.original_size, emb.input_size, side, points, labels, boxes, mask_prompts
        )
        prompts = {name: value.to(self.device, torch.float32) for name, value in prompts.items()}
        total = len(next(iter(prompts.values())))
        count = self.mask_decoder.num_multimask_outputs if multimask else 1
        masks = torch.empty((total, count, *emb.original_size), dtype=torch.bool, device=self.device)
        low_res = torch.empty((total, count, side, side), device=self.device)
        scores = torch.empty((total, count), device=self.device)
        # A matrix product of another size adds in another order: in company, a prompt gets logits that
        # differ by 1e-6 from those it gets alone, and a mask can differ in a pixel. One at a time is exact,
        # and on a CPU about as fast.
        if self.device.type == "cpu":
            chunk = max(1, total) if self.engine else 1
        cells, positions = images.rows(emb.embedding[None]), images.rows(self.image_positions())[0]
        for start in range(0, total, chunk):
            part = slice(start, start + chunk)
            few = {name: value[None, part] for name, value in prompts.items()}
            if self.engine:
                logits, iou = self._engine_answer(self.engine, cells, multimask, **few)
            else:
                answers = self._answer(cells, **few, multimask=multimask, positions=positions)
                logits, iou = (answer[0] for answer in answers)
            low_res[part], scores[part] = logits, iou
            size = self.image_size, emb.input_size, emb.original_size
            if self.device.type == "cpu":  # elsewhere to look for the box would wait for the device
                for place, mask in zip(masks[part].flatten(0, 1), logits.flatten(0, 1), strict=True):
                    place.copy_(images.mask_in_frame(mask, *size))
            else:
                masks[part] = images.logits_to_frame(logits, *size) > 0
        return Decoded(masks if multimask else masks[:, 0], low_res, scores)

    def _engine_answer(
        self,
        engine: Engine,
        cells: Tensor,
        multimask: bool,
        points: Tensor | None = None,
        labels: Tensor | None = None,
        boxes: Tensor | None = None,
        mask_prompts: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """`_answer` of N prompts (1, N, ...) on one image, without the first dimension."""
        count = next(len(part[0]) for part in (points, boxes, mask_prompts) if part is not None)
        tokens = self.prompt_tokens(points, labels, boxes)
        tokens = cells.new_zeros(count, 1, 0, cells.shape[2]) if tokens is None else tokens[0][:, None]
        masks = None if mask_prompts is None else mask_prompts[0][:, None]
        return engine.decode(cells, tokens, masks, multimask)
